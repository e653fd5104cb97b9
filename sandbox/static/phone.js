// The shopper's phone: draws the screen from the state and runs what is tapped.

import { appid, shopper, startOver, state } from "./state.js";
import { drawTab } from "./tabs.js";
import { button, clock, element, yuan } from "./view.js";
import { PLACES, STEPS, answerReceipt, prizeText, refreshShoppers, watchMoney } from "./walk.js";
import { Refusal, admin, clearExchanges, quietly, startListening } from "./wire.js";
import { currentLanguage, nameOf, switchLanguage, word } from "./words.js";

const screen_ = document.getElementById("screen");
const sheet = document.getElementById("sheet");
const TABS = ["walk", "awards", "points", "code"];

export async function run(step, action) {
  if (state.busy) return;
  state.busy = step;
  render();
  try {
    const outcome = await action();
    if (outcome) state.outcomes[step] = outcome;
  } catch (error) {
    const code = error instanceof Refusal ? `${error.code}${error.status ? ` (${error.status})` : ""}` : word("unreachable");
    state.outcomes[step] = { kind: "bad", code, text: error.message };
  }
  state.busy = null;
  render();
  const now = document.querySelector(".step.now") ?? document.getElementById(`step-${step}`);
  now?.scrollIntoView({ block: "nearest" });
  now?.querySelector("button.primary")?.focus({ preventScroll: true });
}

export function render() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  document.title = `${word("title")} · Saoma`;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  document.getElementById("language").textContent = word("language");
  document.getElementById("phone-clock").textContent = clock().slice(0, 5);
  const who = shopper();
  // Links that are opened beside this page are opened in this shopper's WeChat.
  document.cookie = `sandbox_shopper=${who?.id ?? ""}; path=/connect; SameSite=Lax`;
  document.getElementById("wallet").textContent = who ? `${word("wallet")} ${yuan(who.balance_fen)}` : "";
  document.getElementById("tabs").replaceChildren(
    ...TABS.map((tab) =>
      element("button", {
        type: "button",
        className: tab === state.tab ? "tab current" : "tab",
        "aria-current": tab === state.tab ? "page" : null,
        text: word(`tab_${tab}`),
        click: () => openTab(tab),
      }),
    ),
  );
  screen_.replaceChildren(...(state.tab === "walk" ? walkScreen() : drawTab(state.tab, openTab)));
  renderReceipt();
}

function openTab(tab) {
  state.tab = tab;
  render();
  // On a narrow screen the phone is as long as its page, and a shorter page would leave it out of sight.
  if (matchMedia("(max-width: 900px)").matches) document.querySelector(".phone").scrollIntoView();
}

function walkScreen() {
  return [shopperCard(), codeCard(), ...stepCards()];
}

function shopperCard() {
  const choice = element(
    "select",
    {
      id: "shopper",
      change: (event) => {
        state.shopperId = event.target.value;
        startOver();
        render();
      },
    },
    ...state.shoppers.map((one) => element("option", { value: one.id, text: `${one.name} · ${one.phone}` })),
  );
  choice.value = state.shopperId ?? "";
  const line = element(
    "div",
    { className: "row" },
    choice,
    button(word("new_shopper"), () => toggleNew(true), { kind: "quiet" }),
  );
  return element(
    "section",
    { className: "card" },
    element("label", { for: "shopper", className: "card-title", text: word("choose_shopper") }),
    line,
    state.creating ? newShopperForm() : null,
    state.outcomes.shopper ? outcomeLine(state.outcomes.shopper) : null,
  );
}

function toggleNew(open) {
  state.creating = open;
  render();
  if (open) document.getElementById("new-name").focus();
}

function newShopperForm() {
  const suffix = String(Math.floor(Math.random() * 1e8)).padStart(8, "0");
  const name = element("input", { id: "new-name", value: "王小明", maxlength: "20", required: true });
  const phone = element("input", { id: "new-phone", value: `138${suffix}`, inputmode: "numeric", required: true });
  const submit = async () => {
    const { shopper: made } = await admin.post("/shoppers", { name: name.value.trim(), phone: phone.value.trim() });
    await refreshShoppers();
    startOver();
    state.shopperId = made.id;
    state.creating = false;
    return null;
  };
  return element(
    "form",
    {
      className: "new-shopper",
      submit: (event) => {
        event.preventDefault();
        run("shopper", submit);
      },
    },
    element("label", { for: "new-name", text: word("shopper_name") }),
    name,
    element("label", { for: "new-phone", text: word("shopper_phone") }),
    phone,
    element(
      "div",
      { className: "row" },
      element("button", { type: "submit", className: "primary", text: word("create") }),
      button(word("cancel"), () => toggleNew(false), { kind: "quiet" }),
    ),
  );
}

function codeCard() {
  const tabs = ["sheet", "text", "photo"].map((tab) =>
    element("button", {
      type: "button",
      className: tab === state.codeTab ? "segment current" : "segment",
      "aria-pressed": String(tab === state.codeTab),
      text: word(`from_${tab}`),
      click: () => {
        state.codeTab = tab;
        render();
      },
    }),
  );
  const body = { sheet: sheetChoice, text: pasteChoice, photo: photoChoice }[state.codeTab]();
  return element(
    "section",
    { className: "card" },
    element("h3", { className: "card-title", text: word("choose_code") }),
    element("div", { className: "segments" }, ...tabs),
    body,
    state.outcomes.code ? outcomeLine(state.outcomes.code) : null,
    state.code
      ? element("p", { className: "chosen" }, `${word("chosen_code")}: `, element("code", { text: state.code.label }))
      : null,
  );
}

export function chooseCode(text, label) {
  startOverKeepingLogin();
  state.code = { text, label: label ?? text };
  if (text.startsWith("wxacode:")) {
    try {
      state.code.wxacode = JSON.parse(text.slice("wxacode:".length)).scene;
    } catch {
      state.code.wxacode = text;
    }
  }
  render();
}

// Another bottle, the same person: the session stays.
function startOverKeepingLogin() {
  const { token, virtual, person, member, outcomes } = state;
  startOver();
  Object.assign(state, { token, virtual, person, member });
  if (outcomes.login) state.outcomes.login = outcomes.login;
}

function sheetChoice() {
  const codes = state.sheet ?? [];
  if (codes.length === 0) {
    return element(
      "div",
      {},
      element("p", { className: "hint", text: word("sheet_empty") }),
      button(word("reload"), () => run("code", readSheet), { kind: "quiet" }),
    );
  }
  return element(
    "div",
    { className: "codes" },
    ...codes.map((one) =>
      element("button", {
        type: "button",
        className: state.code?.label === one.code ? "code current" : "code",
        text: one.code,
        click: () => chooseCode(one.url || one.code, one.code),
      }),
    ),
  );
}

function pasteChoice() {
  const input = element("input", { id: "paste", autocomplete: "off", spellcheck: "false" });
  return element(
    "form",
    {
      className: "paste",
      submit: (event) => {
        event.preventDefault();
        if (input.value.trim()) chooseCode(input.value.trim());
      },
    },
    element("label", { for: "paste", text: word("paste_label") }),
    element(
      "div",
      { className: "row" },
      input,
      element("button", { type: "submit", className: "primary", text: word("use_code") }),
    ),
  );
}

function photoChoice() {
  const decode = async (file) => {
    const response = await fetch("/_sandbox/decode", {
      method: "POST",
      headers: { "Content-Type": file.type || "application/octet-stream" },
      body: file,
    });
    const answer = await response.json();
    if (!response.ok) throw new Refusal(response.status, answer.code, answer.message);
    if (answer.texts.length === 0) return { kind: "odd", text: word("photo_none") };
    chooseCode(answer.texts[0]);
    return { kind: "good", text: word("copy_done") };
  };
  const input = element("input", {
    id: "photo",
    type: "file",
    accept: "image/*",
    change: (event) => event.target.files[0] && run("code", () => decode(event.target.files[0])),
  });
  return element(
    "div",
    {},
    element("label", { for: "photo", text: word("photo_label") }),
    input,
    element("p", { className: "hint", text: word("photo_hint") }),
  );
}

// What a step has brought to light: the product, the policy, the prize.
function stepFindings(step) {
  if (step === "scan" && state.scan) {
    return element(
      "div",
      { className: "facts" },
      state.product ? element("strong", { text: nameOf(state.product) }) : null,
      state.campaign ? element("span", { text: nameOf(state.campaign) }) : null,
      state.scan.outcome === "ok" ? element("span", { className: "genuine", text: word("genuine") }) : null,
    );
  }
  if (step === "consent" && state.policy && !state.member) {
    const text = state.policy[`text_${currentLanguage()}`] || state.policy.text_zh || "";
    return element("p", { className: "policy", tabindex: "0", text });
  }
  if (step === "draw" && state.draw?.prize) {
    const { prize } = state.draw;
    return element(
      "div",
      { className: `prize ${prize.kind}` },
      element("span", { text: prize.kind === "nothing" ? word("prize_nothing") : word("won") }),
      prize.kind === "nothing" ? null : element("b", { text: prizeText(prize) }),
    );
  }
  return null;
}

function stepCards() {
  let nextFound = false;
  const cards = STEPS.map((step, index) => {
    const outcome = state.outcomes[step.id];
    const ready = Boolean(step.ready());
    // A scan that leads nowhere is over too: what it says is all there is.
    const isDone = ["good", "skipped"].includes(outcome?.kind) || (step.id === "scan" && outcome?.kind === "odd");
    const now = ready && !isDone && !nextFound;
    nextFound ||= now;
    return stepCard(step, index, { outcome, ready, isDone, now });
  });
  cards.push(
    element(
      "div",
      { className: "row end" },
      button(
        word("start_over"),
        () => {
          startOver();
          state.code = null;
          render();
        },
        { kind: "quiet" },
      ),
    ),
  );
  return cards;
}

function stepCard(step, index, { outcome, ready, isDone, now }) {
  const busy = state.busy === step.id;
  const marks = { good: "✓", skipped: "✓", bad: "!", odd: "!" };
  const mark = marks[outcome?.kind] ?? String(index + 1);
  const actions = step.actions.map((action) =>
    button(word(action.word), () => run(step.id, action.run).then(() => afterwards(step.id)), {
      kind: isDone ? "quiet" : (action.kind ?? "primary"),
      disabled: !ready || Boolean(state.busy),
    }),
  );
  return element(
    "section",
    { id: `step-${step.id}`, className: `card step ${isDone ? "done" : ""} ${now ? "now" : ""} ${ready ? "" : "later"}`, "aria-busy": String(busy) },
    element(
      "div",
      { className: "step-head" },
      element("span", { className: `mark ${outcome?.kind ?? ""}`, text: mark, "aria-hidden": "true" }),
      element(
        "div",
        {},
        element("h3", { text: word(`step_${step.id}`) }),
        element("p", { className: "hint", text: word(`hint_${step.id}`) }),
      ),
    ),
    stepFindings(step.id),
    ready && !isDone ? stepOptions(step.id) : null,
    element("div", { className: "row" }, ...actions),
    busy ? element("p", { className: "hint", text: word("waiting") }) : null,
    outcome && !busy ? outcomeLine(outcome) : null,
  );
}

function stepOptions(step) {
  if (step === "login") return checkbox("virtual", "wantVirtual");
  if (step === "consent") {
    return element(
      "div",
      { className: "options" },
      chooser("age_band", "ageBand", { adult: word("age_adult"), teen_14_17: word("age_teen"), under_14: word("age_child") }),
      state.ageBand === "under_14" ? checkbox("guardian", "guardian") : null,
    );
  }
  if (step === "location") {
    const names = Object.entries(PLACES).map(([place, { zh, en }]) => [place, currentLanguage() === "zh" ? zh : en]);
    return chooser("place", "place", Object.fromEntries(names));
  }
  return null;
}

function checkbox(label, field) {
  const input = element("input", {
    type: "checkbox",
    checked: state[field],
    change: (event) => {
      state[field] = event.target.checked;
    },
  });
  return element("label", { className: "check" }, input, word(label));
}

function chooser(label, field, choices) {
  const select = element(
    "select",
    {
      id: `choose-${field}`,
      change: (event) => {
        state[field] = event.target.value;
        render();
      },
    },
    ...Object.entries(choices).map(([value, text]) => element("option", { value, text })),
  );
  select.value = state[field];
  return element("div", { className: "row" }, element("label", { for: select.id, text: word(label) }), select);
}

function outcomeLine(outcome) {
  return element(
    "p",
    { className: `outcome ${outcome.kind}`, role: outcome.kind === "bad" ? "alert" : "status" },
    outcome.code ? element("code", { text: outcome.code }) : null,
    outcome.code ? " " : null,
    outcome.text ?? "",
  );
}

function renderReceipt() {
  const open = Boolean(state.receipt && state.transfer);
  sheet.hidden = !open;
  if (!open) {
    sheet.replaceChildren();
    return;
  }
  const answer = (receive) => run("confirm", () => answerReceipt(receive)).then(() => receive && run("money", watchMoney));
  sheet.replaceChildren(
    element(
      "div",
      { className: "pay-card" },
      element("h3", { id: "pay-title", text: word("pay_title") }),
      element("p", { className: "pay-amount", text: yuan(state.award?.amount_fen ?? state.draw?.prize?.amount_fen) }),
      element("p", { className: "hint", text: word("pay_hint") }),
      button(word("pay_receive"), () => answer(true)),
      button(word("pay_later"), () => answer(false), { kind: "quiet" }),
    ),
  );
  sheet.querySelector("button").focus();
}

async function afterwards(step) {
  if (step === "collect" && state.transfer && !state.receipt) {
    state.receipt = true;
    render();
  }
}

async function readSheet() {
  const answer = await quietly("/sheet.json");
  state.sheet = Array.isArray(answer?.codes) ? answer.codes.filter((one) => one && one.code) : [];
  return null;
}

async function begin() {
  document.getElementById("language").addEventListener("click", () => {
    switchLanguage();
    render();
  });
  document.getElementById("clear").addEventListener("click", clearExchanges);
  render();
  const [apps, settings] = await Promise.all([admin.get("/apps"), admin.get("/settings"), refreshShoppers()]);
  state.apps = apps.apps;
  state.productUrl = settings.product_url;
  document.getElementById("link-sheet").href = `${state.productUrl}/sheet`;
  document.getElementById("link-product").href = `${state.productUrl}/`;
  if (state.shoppers.length === 0) {
    await admin.post("/shoppers", { name: "李雷", phone: "13800138000" });
    await refreshShoppers();
  }
  state.shopperId = state.shoppers[0].id;
  await readSheet().catch(() => {
    state.sheet = [];
  });
  if (!appid()) state.outcomes.login = { kind: "bad", code: "no_app", text: "POST /_sandbox/apps" };
  render();
  await startListening();
  setInterval(() => {
    document.getElementById("phone-clock").textContent = clock().slice(0, 5);
  }, 10_000);
}

begin();
