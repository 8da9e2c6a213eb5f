// A small check of markup: tags nest and close, attributes are quoted, text holds no bare < or &. For tests.

const VOID = new Set(['meta', 'img']);

/** What is wrong with the markup, or undefined. Void HTML elements and declarations may stand unclosed. */
export function wellFormed(markup: string): string | undefined {
  const open: string[] = [];
  const tag = /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|<[!?][^>]*>|[^<]+|</g;
  let styles = false;
  for (const [text, close, name, , selfClosed] of markup.matchAll(tag)) {
    if (text === '<') return `a bare < inside ${open.join('/')}`;
    if (name === undefined) {
      if (!text.startsWith('<') && !styles && /&(?!(amp|lt|gt|quot|#39);)/.test(text)) return `a bare & in "${text}"`;
      continue;
    }
    styles = name === 'style' && !close;
    if (close) {
      const expected = open.pop();
      if (expected !== name) return `</${name}> closes <${expected}>`;
    } else if (!selfClosed && !VOID.has(name)) open.push(name);
  }
  return open.length > 0 ? `left open: ${open.join(', ')}` : undefined;
}
