// Building the page: elements from data. Text only ever becomes text, never markup.

export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name === "click") node.addEventListener("click", value);
    else if (name === "change") node.addEventListener("change", value);
    else if (name === "submit") node.addEventListener("submit", value);
    else if (["value", "checked", "disabled", "open", "hidden"].includes(name)) node[name] = value;
    else node.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function button(text, click, { kind = "primary", disabled = false } = {}) {
  return element("button", { type: "button", className: kind, text, click, disabled });
}

export function yuan(fen) {
  return `¥${(Number(fen || 0) / 100).toFixed(2)}`;
}

export function clock(moment = new Date()) {
  return moment.toLocaleTimeString("zh-CN", { hour12: false });
}

export function pretty(value) {
  if (value === null || value === undefined || value === "") return "—";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
