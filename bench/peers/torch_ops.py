"""What the translated programs call beyond PyTorch itself: the dependence objectives in closed form.

Imported by the source that bench/translate/python.ts writes. The rule easy to break: forward computes the gradient with
the value, so backward is one product; sigma, also a median one, is a constant of it.
"""
import torch


def _low(x):
    """x in the precision that products run in."""
    return x.bfloat16() if torch.is_autocast_enabled("cpu") else x


class _Gram(torch.autograd.Function):
    """Z Z'. Its readers see distances only, so no mean is taken off and the gradient's rows sum to 0."""

    @staticmethod
    def forward(ctx, z):
        low = _low(z)
        ctx.save_for_backward(low)
        return torch.mm(low, low.t()).float()

    @staticmethod
    def backward(ctx, gradient):
        (z,) = ctx.saved_tensors
        return torch.mm((gradient + gradient.t()).to(z.dtype), z)


def _centred(k):
    return k - k.mean(0, keepdim=True) - k.mean(1, keepdim=True) + k.mean()


def gram(z, center):
    if z.requires_grad:
        return _Gram.apply(z)
    product = torch.mm(z, z.t())
    return _centred(product) if center else product


def gram_grad(gradient, z):
    return torch.mm((gradient + gradient.t()).to(z.dtype), z)


def _kernel(g, sigma, features):
    """expm1(-D/scale) and the scale, 2 sigma^2 features; sigma 0 takes the lower median of the distances."""
    g = g.float()
    diagonal = g.diagonal()
    d = (diagonal[:, None] + diagonal[None, :] - 2 * g).clamp_min_(0)
    d.fill_diagonal_(0)
    if sigma > 0:
        scale = torch.tensor(2.0 * sigma * sigma * features)
    else:
        rows, columns = torch.triu_indices(d.shape[0], d.shape[0], 1)
        scale = 2 * d[rows, columns].median()
    return torch.expm1(-d / scale), scale


def kernel_matrix(g, sigma, features):
    return _kernel(g, sigma, features)[0]


def label_kernel(labels):
    return (labels[:, None] == labels[None, :]).float()


def _hsic(g, ex, ey, kind, sigma, features, beta, power):
    e, scale = _kernel(g, sigma, features)
    kc, xc, yc = _centred(e), _centred(ex), _centred(ey)
    if kind == "cka":
        norm = kc.norm()
        target = xc / xc.norm() - beta * yc / yc.norm()
        loss = (kc * target).sum() / norm
        a = target / norm - kc * (loss / (norm * norm))
    else:
        a = (xc - beta * yc) / float(g.shape[0] - 1) ** power
        loss = (kc * a).sum()
    s = a * (1 + e)
    gradient = (2 / scale) * (s - torch.diag(s.sum(1)))
    return loss.reshape(1), gradient


class _Hsic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, g, ex, ey, kind, sigma, features, beta, power):
        loss, gradient = _hsic(g, ex, ey, kind, sigma, features, beta, power)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx, outer):
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None, None, None, None, None, None, None


def hsic(g, ex, ey, kind, sigma, features, beta, power):
    return _Hsic.apply(g, ex, ey, kind, sigma, features, beta, power)


def hsic_and_gradient(g, ex, ey, kind, sigma, features, beta, power):
    return _hsic(g, ex, ey, kind, sigma, features, beta, power)
