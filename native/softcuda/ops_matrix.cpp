// ldmatrix and mma.sync with float32 accumulators. Rows of the opcode table. Fragment layouts: PTX ISA, "Matrix
// fragments for mma.m16n8k8 / m16n8k16" and "ldmatrix".
// The rule easy to break: both need all 32 lanes; the sum is formed in double and rounded once, so tensor-core rounding
// is not what this shows.
#include <cstring>

#include "decode.h"
#include "formats.h"
#include "memory_access.h"

namespace softcuda {
namespace {

bool whole_warp(Warp& w, const Instr& i) {
  if (w.mask == kFull) return true;
  report(w, i, Check::warp_sync, std::countr_zero(w.mask), "a matrix instruction without all 32 lanes");
  return false;
}

/** elements: matrices; flag: transposed. Lanes 8m..8m+7 hold the row addresses of matrix m. */
void run_ldmatrix(Warp& w, const Instr& i) {
  if (!whole_warp(w, i)) return;
  u64 a[32];
  lane_addresses(w, i, a);
  if (i.space == ptx::Space::generic)
    for (u64& address : a) address &= ~kWindowMask;
  const u32 rows = i.elements * 8u;
  w.mask = rows == 32 ? kFull : (1u << rows) - 1;
  const u32 good = check_shared(w, i, a, 16, Access::load), all = w.mask;
  w.mask = kFull;
  if (good != all) return;
  for (u32 m = 0; m < i.elements; ++m) {
    u16 matrix[8][8];
    for (u32 r = 0; r < 8; ++r) std::memcpy(matrix[r], w.block->shared.data() + a[m * 8 + r], 16);
    u32* out = cells<u32>(w, i.list[m]);
    for (u32 l = 0; l < 32; ++l) {
      const u32 r = l / 4, c = l % 4 * 2;
      out[l] = i.flag ? matrix[c][r] | static_cast<u32>(matrix[c + 1][r]) << 16
                      : matrix[r][c] | static_cast<u32>(matrix[r][c + 1]) << 16;
    }
  }
}

void row_ldmatrix(Op& op) {
  const bool sync = op.take("sync"), aligned = op.take("aligned"), shape = op.take("m8n8");
  const std::string_view count = op.pick({"x1", "x2", "x4"});
  op.out.flag = op.take("trans");
  const ptx::Space space = op.space();
  op.type({Type::b16});
  op.done();
  if (!sync || !aligned || !shape || count.empty()) op.fail("expected .sync.aligned.m8n8 and .x1, .x2 or .x4");
  if (space != ptx::Space::shared && space != ptx::Space::generic) op.fail("expected .shared");
  op.expect(2, 2);
  op.out.elements = static_cast<u8>(count[1] - '0');
  if (op.slots(op.at(0), 32, true) != op.out.elements) op.fail("the vector has another length");
  op.address(1, space);
  op.info.space = ptx::Space::shared;
  op.info.kind = InstrInfo::Kind::load;
  op.out.run = run_ldmatrix;
}

enum class Input : u8 { f16, bf16, tf32 };

struct Fragments {
  float a[16][16], b[16][8];
};

float narrow(Input type, u32 bits) {
  if (type == Input::f16) return float_from_half(bits & 0xffff);
  if (type == Input::bf16) return float_from_bfloat(bits & 0xffff);
  return std::bit_cast<float>(bits & 0xffffe000u);  // tf32: the low 13 bits are not looked at
}

/** Register n of lane l: two values of 16 bits side by side in k, or one of tf32. */
void unpack(Warp& w, const Instr& i, Input type, u32 k, Fragments& f) {
  const u32 step = type == Input::tf32 ? 1 : 2;
  const u32 a_registers = 16 * k / (32 * step), b_registers = 8 * k / (32 * step);
  for (u32 l = 0; l < 32; ++l) {
    const u32 group = l / 4, column = l % 4 * step;
    for (u32 n = 0; n < a_registers; ++n) {
      const u32 bits = cells<u32>(w, i.list[n])[l];
      for (u32 e = 0; e < step; ++e)
        f.a[group + n % 2 * 8][column + n / 2 * 4 * step + e] = narrow(type, bits >> (16 * e));
    }
    for (u32 n = 0; n < b_registers; ++n) {
      const u32 bits = cells<u32>(w, i.list[a_registers + n])[l];
      for (u32 e = 0; e < step; ++e) f.b[column + n * 4 * step + e][group] = narrow(type, bits >> (16 * e));
    }
  }
}

/** list: A, B, C, then D; elements: k; mode: the inputs' type. */
void run_mma(Warp& w, const Instr& i) {
  if (!whole_warp(w, i)) return;
  const auto type = static_cast<Input>(i.mode);
  const u32 k = i.elements, inputs = i.target;
  Fragments f;
  unpack(w, i, type, k, f);
  float result[4][32];
  for (u32 l = 0; l < 32; ++l)
    for (u32 n = 0; n < 4; ++n) {
      const u32 row = l / 4 + n / 2 * 8, column = l % 4 * 2 + n % 2;
      double sum = cells<float>(w, i.list[inputs + n])[l];
      for (u32 j = 0; j < k; ++j) sum += static_cast<double>(f.a[row][j]) * f.b[j][column];
      result[n][l] = static_cast<float>(sum);
    }
  for (u32 n = 0; n < 4; ++n) std::memcpy(cells<float>(w, i.list[inputs + 4 + n]), result[n], sizeof result[n]);
}

void row_mma(Op& op) {
  if (!op.take("sync") || !op.take("aligned")) op.fail("expected .sync.aligned");
  const std::string_view shape = op.pick({"m16n8k4", "m16n8k8", "m16n8k16"});
  if (shape.empty()) op.fail("expected .m16n8k4, .m16n8k8 or .m16n8k16");
  if (!op.take("row") || !op.take("col")) op.fail("expected .row.col");
  op.type({Type::f32});
  const Type b = op.type({Type::f16, Type::bf16, Type::tf32}), a = op.type();
  op.type({Type::f32});
  op.done();
  if (a != b) op.fail("the factors have different types");
  const u32 k = static_cast<u32>(std::atoi(shape.data() + 6));
  if ((a == Type::tf32 && k == 16) || (a != Type::tf32 && k == 4)) op.fail("no such shape for this type");
  op.expect(4, 4);
  const u32 per_register = a == Type::tf32 ? 1 : 2;
  const size_t lengths[] = {16 * k / (32 * per_register), 8 * k / (32 * per_register), 4, 4};
  std::vector<u32> list;
  const size_t order[] = {1, 2, 3, 0};
  for (size_t part = 0; part < 4; ++part) {
    const std::vector<ptx::Operand> operands = op.parts(order[part]);
    if (operands.size() != lengths[part]) op.fail("a fragment has another length");
    for (const ptx::Operand& operand : operands) list.push_back(part == 3 ? op.dst(operand, 32) : op.src(operand, 32));
  }
  op.program().lists.push_back(std::move(list));
  op.out.list = op.program().lists.back().data();
  op.out.elements = static_cast<u8>(k);
  op.out.target = static_cast<u32>(lengths[0] + lengths[1]);
  op.out.mode = static_cast<u8>(a == Type::f16 ? Input::f16 : a == Type::bf16 ? Input::bf16 : Input::tf32);
  op.out.run = run_mma;
}

}  // namespace

void add_matrix_ops(OpTable& table) {
  table["ldmatrix"] = row_ldmatrix;
  table["mma"] = row_mma;
}

}  // namespace softcuda
