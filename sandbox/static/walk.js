// The walk: login → scan → consent → phone → location → draw → collect → confirm → money. Each step says when it
// can be taken and what each of its buttons does.

import { appid, forgetKey, keyFor, shopper, state } from "./state.js";
import { Refusal, admin, listen, product, wx } from "./wire.js";
import { yuan } from "./view.js";
import { currentLanguage, nameOf, word } from "./words.js";

const API = "/miniprogram/v1";
const NAME_FROM_FEN = 200_000;
const POLLS = 12;
const POLL_EVERY_MILLISECONDS = 700;

export const PLACES = {
  shanghai: { zh: "上海", en: "Shanghai", latitude: 31.2304, longitude: 121.4737 },
  beijing: { zh: "北京", en: "Beijing", latitude: 39.9042, longitude: 116.4074 },
  guangzhou: { zh: "广州", en: "Guangzhou", latitude: 23.1291, longitude: 113.2644 },
  chengdu: { zh: "成都", en: "Chengdu", latitude: 30.5728, longitude: 104.0668 },
};

function done(step) {
  return state.outcomes[step]?.kind === "good" || state.outcomes[step]?.kind === "skipped";
}

export const STEPS = [
  {
    id: "login",
    ready: () => shopper() && appid(),
    actions: [{ word: "act_login", run: login }],
  },
  {
    id: "scan",
    ready: () => state.token && state.code,
    actions: [{ word: "act_scan", run: scan }],
  },
  {
    id: "consent",
    ready: () => state.scan,
    actions: [
      { word: "act_consent", run: consent },
      { word: "act_read", run: readPolicy, kind: "quiet" },
    ],
  },
  {
    id: "phone",
    ready: () => done("consent"),
    actions: [
      { word: "act_allow", run: () => phone(false) },
      { word: "act_refuse", run: refusePhone, kind: "quiet" },
      { word: "act_quota", run: () => phone(true), kind: "quiet" },
    ],
  },
  {
    id: "location",
    ready: () => done("phone"),
    actions: [
      { word: "act_allow", run: allowLocation },
      { word: "act_refuse", run: refuseLocation, kind: "quiet" },
    ],
  },
  {
    id: "draw",
    ready: () => done("location") && !["result", "none"].includes(state.next),
    actions: [
      { word: "act_draw", run: draw },
      { word: "act_captcha", run: solveCaptcha, kind: "quiet" },
    ],
  },
  {
    id: "collect",
    ready: () => state.award && state.award.kind === "money" && !["fulfilled", "lapsed", "refused"].includes(state.award.state),
    actions: [{ word: "act_collect", run: collect }],
  },
  {
    id: "confirm",
    ready: () => state.transfer,
    actions: [{ word: "act_confirm", run: openReceipt }],
  },
  {
    id: "money",
    ready: () => done("confirm"),
    actions: [{ word: "act_money", run: watchMoney }],
  },
];

async function login() {
  const { js_code } = await wx("wx.login", `/shoppers/${state.shopperId}/js_code`, {
    appid: appid(),
    virtual: state.wantVirtual,
  });
  const answer = await product("POST", `${API}/sessions`, { body: { app_id: appid(), js_code } });
  state.token = answer.token;
  state.person = answer.person ?? {};
  state.virtual = Boolean(state.person.virtual);
  return { kind: "good", text: word(state.virtual ? "virtual_in" : "logged_in") };
}

function scanBody() {
  const { text, wxacode } = state.code;
  if (wxacode) return { scene: wxacode };
  // An ordinary-link code reaches the mini-program as q, the whole URL encoded once.
  return /^https?:\/\//i.test(text) ? { q: encodeURIComponent(text) } : { code: text };
}

function keepScan(answer) {
  state.scan = answer.scan;
  state.product = answer.product ?? null;
  state.campaign = answer.campaign ?? null;
  state.next = answer.next ?? null;
  // I drew this code before: what it brought is still mine to see, and perhaps to collect.
  if (answer.draw) keepDraw(answer);
}

async function scan() {
  keepScan(await product("POST", `${API}/scans`, { token: state.token, body: scanBody() }));
  if (state.person?.member && !done("consent")) {
    state.outcomes.consent = { kind: "skipped", text: word("already_member") };
  }
  const earlier = state.scan.earlier_scans;
  const parts = [state.scan[`text_${currentLanguage()}`] || word(`outcome_${state.scan.outcome}`)];
  if (earlier) parts.push(`${word("earlier_scans")} ${earlier} ${word("times")}`);
  return { kind: state.scan.outcome === "ok" ? "good" : "odd", text: parts.join(" · ") };
}

async function readPolicy() {
  const policy = await product("GET", `${API}/policies/current`, { token: state.token });
  state.policy = policy;
  return state.outcomes.consent ?? null;
}

async function consent() {
  if (!state.policy) await readPolicy();
  const body = { policy_version: state.policy.version, age_band: state.ageBand, scan: state.scan.id };
  if (state.ageBand === "under_14") body.guardian_consent = state.guardian;
  const answer = await product("POST", `${API}/members`, {
    token: state.token,
    body,
    key: keyFor(`join:${JSON.stringify(body)}`),
  });
  state.member = answer.member ?? {};
  state.person = { ...state.person, member: true };
  return { kind: "good", text: state.member.member_no ?? word("already_member") };
}

async function phone(quotaEmpty) {
  const { code } = await wx("getPhoneNumber", `/shoppers/${state.shopperId}/phone_code`, {
    appid: appid(),
    quota_empty: quotaEmpty,
  });
  try {
    const answer = await product("POST", `${API}/phone`, { token: state.token, body: { code } });
    return { kind: "good", text: answer.phone_masked ?? "✓" };
  } catch (error) {
    // The platform refused; the walk goes on without a number, and the code says why.
    if (!(error instanceof Refusal) || !error.code) throw error;
    return { kind: "skipped", text: `${error.code} · ${word("refused_phone")}` };
  }
}

function refusePhone() {
  return { kind: "skipped", text: word("refused_phone") };
}

function allowLocation() {
  const { latitude, longitude } = PLACES[state.place];
  state.position = { latitude, longitude };
  return { kind: "good", text: `${latitude}, ${longitude}` };
}

function refuseLocation() {
  state.position = null;
  return { kind: "skipped", text: word("refused_location") };
}

function keepDraw(answer) {
  state.draw = answer.draw;
  state.award = answer.award ?? null;
  const prize = prizeText(state.draw?.prize);
  state.outcomes.draw = { kind: "good", text: prize };
  if (state.award?.kind !== "money") state.outcomes.collect = { kind: "odd", text: word("nothing_to_collect") };
}

export function prizeText(prize) {
  if (!prize) return "";
  const name = nameOf(prize) || word(`prize_${prize.kind}`);
  // A name may stand for a range of money, or say the points itself.
  if (prize.kind === "money") return `${name} ${yuan(prize.amount_fen)}`;
  if (prize.kind === "points" && !name.includes(String(prize.points))) {
    return `${name} ${prize.points ?? 0} ${word("points_unit")}`;
  }
  return name;
}

async function draw() {
  const body = {
    scan: state.scan.id,
    phone_declined: state.outcomes.phone?.kind !== "good",
    ...(state.position && { location: state.position }),
    ...(state.captcha?.ticket && { captcha_ticket: state.captcha.ticket }),
  };
  const intention = `draw:${JSON.stringify(body)}`;
  let answer;
  try {
    answer = await product("POST", `${API}/draws`, { token: state.token, body, key: keyFor(intention) });
  } catch (error) {
    // A step is wanted first: what follows it is a new intention, under a new key.
    if (["verification_needed", "captcha_needed"].includes(error.code)) forgetKey(intention);
    if (error.code === "captcha_needed") state.captcha = { appId: Number(error.problem.captcha_app_id), ticket: null };
    throw error;
  }
  forgetKey(intention);
  state.captcha = null;
  state.outcomes.collect = undefined;
  keepDraw(answer);
  return state.outcomes.draw;
}

// What the captcha plugin does once its puzzle is solved: it hands the page a ticket.
async function solveCaptcha() {
  if (!state.captcha) return { kind: "odd", text: word("captcha_not_asked") };
  const { ticket } = await wx("t-captcha", `/shoppers/${state.shopperId}/captcha_ticket`, { app_id: state.captcha.appId });
  state.captcha.ticket = ticket;
  return { kind: "odd", text: word("captcha_solved") };
}

async function collect() {
  const path = `${API}/awards/${encodeURIComponent(state.award.id)}`;
  const body = { phone_declined: state.outcomes.phone?.kind !== "good" };
  // From here on WeChat Pay wants to know whom it pays.
  if (state.award.amount_fen >= NAME_FROM_FEN) body.user_name = shopper().name;
  for (let attempt = 0; attempt < POLLS; attempt += 1) {
    const intention = `collect:${state.award.id}:${attempt}`;
    const answer = await product("POST", `${path}/collect`, { token: state.token, body, key: keyFor(intention) });
    forgetKey(intention);
    state.award = answer.award ?? state.award;
    if (answer.transfer?.package_info) {
      state.transfer = answer.transfer;
      state.outcomes.confirm = undefined;
      return { kind: "good", text: word(`state_${state.award.state}`) };
    }
    if (answer.status !== 202) break;
    await pause();
  }
  return { kind: "odd", text: word("transfer_waiting") };
}

async function openReceipt() {
  state.receipt = true;
  return state.outcomes.confirm ?? null;
}

export async function answerReceipt(receive) {
  const action = receive ? "confirm" : "decline";
  const { mch_id, app_id, package_info } = state.transfer;
  state.receipt = false;
  await wx("wx.requestMerchantTransfer", `/shoppers/${state.shopperId}/${action}`, { mch_id, app_id, package_info });
  if (!receive) return { kind: "odd", text: word("pay_declined") };
  state.outcomes.money = { kind: "odd", text: word("waiting") };
  return { kind: "good", text: "requestMerchantTransfer:ok" };
}

export async function watchMoney() {
  for (let attempt = 0; attempt < POLLS; attempt += 1) {
    await listen();
    await refreshShoppers();
    const path = `${API}/awards/${encodeURIComponent(state.award.id)}`;
    const answer = await product("GET", path, { token: state.token });
    state.award = answer.award ?? answer;
    if (["fulfilled", "lapsed", "refused"].includes(state.award.state)) break;
    await pause();
  }
  if (state.award.state !== "fulfilled") return { kind: "odd", text: word("not_arrived") };
  state.transfer = null;
  return { kind: "good", text: `${yuan(state.award.amount_fen ?? state.draw?.prize?.amount_fen)} ${word("arrived")}` };
}

export async function refreshShoppers() {
  state.shoppers = (await admin.get("/shoppers")).shoppers;
}

// An award of the list is taken up again where it stands.
export function takeUp(award) {
  state.award = award;
  state.transfer = null;
  state.outcomes.collect = undefined;
  state.outcomes.confirm = undefined;
  state.outcomes.money = undefined;
  state.tab = "walk";
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MILLISECONDS));
}
