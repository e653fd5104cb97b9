// Every conversation of the page: with the product by way of the relay, with the sandbox directly. Each one is
// listed beside the phone.

import { clock, element, pretty } from "./view.js";
import { word } from "./words.js";

const KEPT = 200;
const list = document.getElementById("exchanges");
const empty = document.getElementById("no-exchanges");
const showPlatform = document.getElementById("show-platform");
let seenOfPlatform = 0;

// An answer that is an error: `code` is stable, `message` is for people.
export class Refusal extends Error {
  constructor(status, code, message, problem = {}) {
    super(message || code);
    this.status = status;
    this.code = code;
    this.problem = problem;
  }
}

async function sandbox(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(`/_sandbox${path}`, options);
  const document_ = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, document_.code || "error", document_.message);
  return document_;
}

export const admin = {
  get: (path) => sandbox("GET", path),
  post: (path, body) => sandbox("POST", path, body),
};

// Something that the shopper's WeChat does by itself, such as wx.login.
export async function wx(name, path, body) {
  const started = performance.now();
  const entry = { who: "wx", method: "wx", path: name, request: body, at: clock() };
  try {
    const answer = await sandbox("POST", path, body);
    show({ ...entry, status: 200, response: answer, ms: performance.now() - started });
    return answer;
  } catch (error) {
    const response = { code: error.code, message: error.message };
    show({ ...entry, status: error.status ?? null, response, ms: performance.now() - started });
    throw error;
  }
}

// One request of the mini-program to the product.
export async function product(method, path, { token, body, key } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  const entry = { who: "shopper", method, path, request: body, at: clock() };
  let answer;
  try {
    answer = await sandbox("POST", "/relay", {
      method,
      path,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    show({ ...entry, status: null, response: { code: error.code, message: error.message } });
    throw error;
  }
  // First what the product asked of the platform for it: the list shows the newest on top, so that comes below.
  await listen();
  show({ ...entry, status: answer.status, response: hideToken(answer.body), ms: answer.ms });
  if (answer.status >= 400) {
    const problem = typeof answer.body === "object" && answer.body ? answer.body : {};
    const message = [problem.title, problem.detail].filter(Boolean).join(" — ");
    throw new Refusal(answer.status, problem.code || `http_${answer.status}`, message, problem);
  }
  return { status: answer.status, ...(typeof answer.body === "object" ? answer.body : {}) };
}

export async function quietly(path) {
  const answer = await sandbox("POST", "/relay", { method: "GET", path });
  if (answer.status !== 200) throw new Refusal(answer.status, `http_${answer.status}`, path);
  return answer.body;
}

function hideToken(body) {
  return body && typeof body === "object" && "token" in body ? { ...body, token: "•••" } : body;
}

function show(entry) {
  empty.hidden = true;
  const bad = entry.status === null || entry.status >= 400;
  const summary = element(
    "summary",
    {},
    element("span", { className: `chip ${entry.who}`, text: word(`chip_${entry.who}`) }),
    element("code", { className: "what", text: `${entry.method === "wx" ? "" : entry.method} ${entry.path}`.trim() }),
    element("span", { className: bad ? "status bad" : "status", text: entry.status ?? word("no_answer") }),
    element("span", { className: "ms", text: entry.ms === undefined ? "" : `${Math.round(entry.ms)} ms` }),
    element("time", { text: entry.at }),
  );
  const details = element(
    "details",
    { open: bad },
    summary,
    entry.note ? element("p", { className: "note", text: entry.note }) : null,
    element("h3", { text: word("request") }),
    element("pre", { text: pretty(entry.request) }),
    element("h3", { text: word("response") }),
    element("pre", { text: pretty(entry.response) }),
  );
  const platform = entry.who === "in" || entry.who === "out";
  list.prepend(element("li", { className: platform ? "platform" : "" }, details));
  while (list.children.length > KEPT) list.lastElementChild.remove();
}

export function clearExchanges() {
  list.replaceChildren();
  empty.hidden = false;
}

// What the product and the platform say to each other meanwhile. What was said before the page was opened is
// skipped: it belongs to somebody else's walk.
export async function startListening() {
  const before = await admin.get("/exchanges").catch(() => ({ exchanges: [] }));
  seenOfPlatform = Math.max(0, ...before.exchanges.map((exchange) => exchange.id));
  setInterval(listen, 1000);
  showPlatform.addEventListener("change", () => list.classList.toggle("hide-platform", !showPlatform.checked));
}

export async function listen() {
  if (document.hidden) return;
  try {
    const { exchanges } = await admin.get(`/exchanges?after=${seenOfPlatform}`);
    for (const exchange of exchanges) {
      // Two listeners may have been answered the same.
      if (exchange.id <= seenOfPlatform) continue;
      seenOfPlatform = exchange.id;
      show({
        who: exchange.direction,
        method: exchange.method,
        path: exchange.url,
        status: exchange.status,
        request: exchange.request,
        response: exchange.response,
        ms: exchange.ms,
        note: exchange.note,
        at: clock(new Date(exchange.at)),
      });
    }
  } catch {
    // The sandbox is restarting; the next second will tell.
  }
}
