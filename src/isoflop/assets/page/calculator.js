// The calculator: what a law makes of a compute, a loss, N, D, D/N or GPU hours, with the intervals of isoflop allocate,
// and of serving, with bands from thinned draws. Its state stands in the address. Nothing is loaded; the laws stand in the page.
"use strict";
(() => {
  const place = document.getElementById("calculator");
  const source = document.getElementById("frontiers");
  if (!place || !source) return;
  const given = JSON.parse(source.textContent);
  // a law of the mixture has the mixture's draws of it
  for (const law of given.laws) if (law.parts) law.parts = law.parts.map((name) => given.parts[name]);

  const ASKED = {
    flops: "compute C, FLOPs", loss: "loss, nats per token", params: "parameters N",
    tokens: "tokens D", ratio: "D/N", hours: "GPU hours",
  };
  // whose limits a question has
  const LIMITED = { flops: "flops", loss: "loss", params: "params", tokens: "tokens", ratio: "tokens_per_param", hours: "hours" };
  // what is asked, in a sentence
  const FIXES = { flops: "the compute", loss: "the loss", params: "N", tokens: "D", ratio: "D/N", hours: "the GPU hours" };

  // a row is log n, a, log d, b, E, log K, e
  const flopsAt = (row, asked, value) => {
    const [n, a, d, b, floor, k, e] = row;
    switch (asked) {
      case "loss": return value > floor ? Math.exp((k - Math.log(value - floor)) / e) : NaN;
      case "params": return Math.exp((Math.log(value) - n) / a);
      case "tokens": return Math.exp((Math.log(value) - d) / b);
      case "ratio": return Math.exp((Math.log(value) - (d - n)) / (b - a));
      default: return value;
    }
  };
  const allocation = (row, asked, value) => {
    const flops = flopsAt(row, asked, value), x = Math.log(flops);
    const [n, a, d, b, floor, k, e] = row;
    const params = Math.exp(n + a * x), tokens = Math.exp(d + b * x);
    return {
      flops, params, tokens, ratio: tokens / params,
      loss: e !== null ? floor + Math.exp(k - e * x) : NaN,
    };
  };
  // a law of the loss, or a draw of it: E, log A, log B, alpha, beta and k, which is gamma in
  // E + (P + Q)^gamma, or the product's factor in E + P + Q + k P Q
  const HALVINGS = 64, REACH = 100, [LEAST, MOST] = given.sought.map(Math.log);
  const logSum = (u, v) => Math.max(u, v) + Math.log1p(Math.exp(-Math.abs(u - v)));
  const optimumAt = ([floor, a, b, alpha, beta, k], { product, cost: [coefficient, m] }, x) => {
    const budget = x - Math.log(coefficient);
    let n = (Math.log(alpha / (m * beta)) + a - b + beta * budget) / (alpha + m * beta);
    if (product) {
      let low = n - REACH, high = n + REACH;
      if (k < 0) {
        low = Math.max(low, (a + Math.log(-k)) / alpha);
        high = Math.min(high, (budget - (b + Math.log(-k)) / beta) / m);
      }
      if (!(low < high)) return null;
      for (let i = 0; i < HALVINGS; i++) {
        n = 0.5 * (low + high);
        const p = a - alpha * n, q = b - beta * (budget - m * n);
        if (alpha * (Math.exp(-q) + k) > m * beta * (Math.exp(-p) + k)) low = n;
        else high = n;
      }
      n = 0.5 * (low + high);
    }
    const d = budget - m * n, p = a - alpha * n, q = b - beta * d;
    const loss = product
      ? floor + Math.exp(p) + Math.exp(q) + k * Math.exp(p + q)
      : floor + Math.exp(k * logSum(p, q));
    return [n, d, Math.log(loss)];
  };
  // the cheapest to train and to serve, 2N a token, at the loss of the optimum at e^x: along that
  // loss P + Q + kappa P Q stays, and growing N pays until alpha P (1 + kappa Q) falls to
  // (m + 2 N served / C) beta Q (1 + kappa P)
  const FORWARD = 2;
  const servedAt = (row, part, x, served) => {
    const optimum = optimumAt(row, part, x);
    if (!optimum) return null;
    const [, a, b, alpha, beta, k] = row, [coefficient, m] = part.cost, kappa = part.product ? k : 0;
    const most = Math.exp(a - alpha * optimum[0]), data = Math.exp(b - beta * optimum[1]);
    const total = most + data + kappa * most * data;
    const sizeTerm = (n) => Math.exp(a - alpha * n);
    const dataTerm = (n) => (total - sizeTerm(n)) / (1 + kappa * sizeTerm(n));
    const tokensAt = (n) => (b - Math.log(dataTerm(n))) / beta;
    const trained = (n) => Math.log(coefficient) + m * n + tokensAt(n);
    let low = (a - Math.log(total)) / alpha, high = optimum[0];
    for (let i = 0; i < HALVINGS; i++) {
      const n = 0.5 * (low + high), p = sizeTerm(n), q = dataTerm(n);
      const pays = alpha * (1 / q + kappa) / (beta * (1 / p + kappa));
      if (pays > m + FORWARD * served * Math.exp(n - trained(n))) low = n;
      else high = n;
    }
    const n = 0.5 * (low + high), d = tokensAt(n), flops = Math.exp(trained(n));
    const everything = flops + FORWARD * Math.exp(n) * served;
    const plain = Math.exp(x) + FORWARD * Math.exp(optimum[0]) * served;
    return {
      params: Math.exp(n), tokens: Math.exp(d), ratio: Math.exp(d - n), flops, total: everything,
      saved: 1 - everything / plain,
    };
  };
  const tableAt = (table, x) => {
    const last = table.length - 1;
    if (!(table[0][0] <= x && x <= table[last][0])) return null;
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (table[middle][0] <= x) low = middle;
      else high = middle;
    }
    const share = (x - table[low][0]) / (table[high][0] - table[low][0]);
    return [1, 2, 3].map((i) => table[low][i] + share * (table[high][i] - table[low][i]));
  };
  // what has no closed form is inverted by halving: N, D and D/N rise or fall with C, the loss falls
  const NOTHING = { flops: NaN, params: NaN, tokens: NaN, ratio: NaN, loss: NaN };
  const numbers = (x, [n, d, l]) => ({
    flops: Math.exp(x), params: Math.exp(n), tokens: Math.exp(d), ratio: Math.exp(d - n),
    loss: Math.exp(l),
  });
  const inverted = (at, asked, value, low, high) => {
    if (asked === "flops") {
      const x = Math.log(value), found = at(x);
      return found ? { ...numbers(x, found), flops: value } : NOTHING;
    }
    const excess = (x) => {
      const found = at(x);
      return found ? Math.log(numbers(x, found)[asked] / value) : NaN;
    };
    if (!at(low)) {
      // with a negative product term a small budget has no optimum
      let none = low, some = high;
      for (let i = 0; i < HALVINGS; i++) {
        const middle = 0.5 * (none + some);
        if (at(middle)) some = middle;
        else none = middle;
      }
      low = some;
    }
    const first = excess(low), rising = first < 0;
    if (!(first * excess(high) < 0)) return NOTHING;
    for (let i = 0; i < HALVINGS; i++) {
      const middle = 0.5 * (low + high);
      if (excess(middle) < 0 === rising) low = middle;
      else high = middle;
    }
    const x = 0.5 * (low + high);
    return numbers(x, at(x));
  };
  const optimumOf = (row, part, asked, value) => inverted((x) => optimumAt(row, part, x), asked, value, LEAST, MOST);
  // the mixture is a table, a law of the loss has its own terms, the others know the optimum alone
  const pointOf = (law, asked, value) => {
    if (law.table) return inverted((x) => tableAt(law.table, x), asked, value, law.table[0][0], law.table[law.table.length - 1][0]);
    if (law.own) return optimumOf(law.own, law.parts[0], asked, value);
    return allocation(law.point, asked, value);
  };
  const quantile = (sorted, share) => {
    const at = share * (sorted.length - 1), low = Math.floor(at), high = Math.ceil(at);
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
  };
  // shares: of the draws below the two ends; null where no interval covers as often as it should
  const band = (values, shares, value) => {
    if (shares === null) return null;
    const known = values.filter(Number.isFinite).sort((a, b) => a - b);
    // where a draw has no answer, the ends may lie among such draws
    if (known.length < 2 || values.length - known.length > 0.1 * (1 - given.level) * values.length) return null;
    const [low, high] = shares.map((share) => quantile(known, share));
    // no number stands beside an interval that excludes it
    return low * (1 - 1e-9) <= value && value <= high * (1 + 1e-9) ? [low, high] : null;
  };
  // every draw at the compute where its own optimum has what is asked; the intervals' ends are those at the answer's compute
  const SERVED = ["params", "tokens", "ratio", "flops", "total", "saved"];
  const servedBy = (law, asked, value, x, served) => {
    const one = (row, part) => servedAt(row, part, Math.log(optimumOf(row, part, asked, value).flops), served);
    const draws = law.parts.flatMap((part) => part.terms.map((row) => one(row, part) || {}));
    const shares = between(law.served, x);
    const own = law.own && one(law.own, law.parts[0]);
    const found = {};
    for (const name of SERVED) {
      const drawn = draws.map((one) => one[name]), known = drawn.filter(Number.isFinite).sort((a, b) => a - b);
      // of the mixture the median, as everywhere
      const value = law.own ? own && own[name] : known.length ? quantile(known, 0.5) : NaN;
      if (Number.isFinite(value)) found[name] = { value, ends: band(drawn, shares, value) };
    }
    return found;
  };

  // what stands between two rows of a table, whose first column is log C; of the first or the last row outside of them; null for none
  const SAME = 1e-9;
  const between = (rows, x) => {
    const next = rows.findIndex((row) => row[0] >= x - SAME);
    const after = rows[next < 0 ? rows.length - 1 : next];
    const before = next <= 0 || after[0] <= x + SAME ? after : rows[next - 1];
    if (before.includes(null) || after.includes(null)) return null;
    const share = before === after ? 0 : (x - before[0]) / (after[0] - before[0]);
    return before.slice(1).map((value, k) => value + share * (after[k + 1] - value));
  };
  // the intervals at a given C, or at the C where another quantity is what is asked for
  const QUANTITIES = ["flops", "params", "tokens", "ratio", "loss"];
  const beside = (rows, x) => {
    if (!inTable(rows, x)) return [];
    const next = rows.findIndex((row) => row[0] >= x - SAME);
    return next === 0 || rows[next][0] <= x + SAME ? [rows[next]] : [rows[next - 1], rows[next]];
  };
  const inTable = (rows, x) => rows.length > 0 && rows[0][0] <= x + SAME && x - SAME <= rows[rows.length - 1][0];
  const tabulatedEnds = (law, asked, point) => {
    const rows = law.ends[asked === "ratio" ? "tokens_per_param" : asked], x = Math.log(point.flops), ends = {}, near = beside(rows, x), without = { none: [], beside: [], places: near.length };
    QUANTITIES.filter((name) => name !== asked).forEach((name, i) => {
      const own = (row) => [row[0], ...row.slice(1 + 2 * i, 3 + 2 * i)];
      const found = inTable(rows, x) ? between(rows.map(own), x) : null;
      const [low, high] = (found || []).map(Math.exp);
      // no number stands beside an interval that excludes it
      ends[name] = found && Number.isFinite(high) && low * (1 - SAME) <= point[name] && point[name] <= high * (1 + SAME) ? [low, high] : null;
      if (ends[name] || !near.length || !Number.isFinite(point[name]) || (asked === "flops" && name === "flops")) return;
      // the command has none where no place beside has one; else it may have one between them
      without[near.every((row) => own(row).includes(null)) ? "none" : "beside"].push(name);
    });
    return { ends, without };
  };

  // of the draws, what share has no answer, and the factor of the widest interval of N or D; every one has an answer at a given C
  const openness = (law, asked, x) => {
    const rows = law.open[asked === "ratio" ? "tokens_per_param" : asked] || [];
    return rows.length && between(rows, x) || [0, 1];
  };
  const isDoubtful = (unanswered, level) => unanswered > 0.1 * (1 - level);
  const reachOf = (near, { params, tokens }, unanswered) => {
    const { most, but, words, never, unknown } = given.open;
    if (near === unknown) return near;
    for (const [name, one] of [["N", params], ["D", tokens]]) {
      const factor = one && one.ends ? one.ends[1] / one.ends[0] : 1;
      if (factor > most) return near + but + name + words + figures(factor, 2);
    }
    return isDoubtful(unanswered, given.level) ? near + but + "in " + (100 * unanswered).toFixed(0) + " %" + never : near;
  };

  const SUFFIXES = given.suffixes;
  // a number as somebody types it, as isoflop allocate reads it: 1e9, 121.4M, 7b; NaN for all else
  const typed = (text) => {
    const [, number, suffix] = /^(.*?)([kMBT]?)$/i.exec(text.trim());
    const size = SUFFIXES.find(([, of]) => of.toUpperCase() === suffix.toUpperCase());
    return number.trim() === "" ? NaN : Number(number) * (size ? size[0] : 1);
  };
  // a share, as isoflop allocate reads it: 0.4, 40 or 40%; beyond 100 it is neither
  const share = (text) => {
    const [, number, sign] = /^(.*?)(%?)$/.exec(text.trim()), value = typed(number);
    return sign || value > 1 ? value / 100 : value;
  };
  // to four digits, of which what is shown has three
  const suffixed = (value) => {
    const [size, suffix] = SUFFIXES.find(([least]) => value >= least && value < 1e16) || [1, ""];
    return Number((value / size).toPrecision(4)) + suffix;
  };
  // what is wrong with a number; the address may have any
  const end = (value) => value >= 1e6 || value < 1e-4 && value > 0 ? value.toExponential().replace("+", "") : String(value);
  const beyond = (value, name, factor = 1, unit = "") => {
    const [least, most, what, own] = given.limits[name];
    if (Number.isNaN(value)) return what[0].toUpperCase() + what.slice(1) + " is a number, such as " + (name === "utilisation" ? "40" : name === "price" ? "2" : name === "loss" ? "3.1" : "1e9, 7B or 121.4M") + (own ? ", without the unit" : "") + ".";
    return value >= least * factor && value <= most * factor ? "" :
      what[0].toUpperCase() + what.slice(1) + " lies between " + end(least * factor) + " and " + end(most * factor) + (unit || own && " " + own) + ".";
  };

  const state = { asked: "flops", value: given.flops.toExponential().replace("+", ""), served: "", unique: given.repeats.unique === null ? "" : suffixed(given.repeats.unique), law: given.laws[0].key, card: "h100", mfu: "40", price: "" };
  // the word that Python and JSON have for it
  const ALIASES = { tokens_per_param: "ratio" };
  // a question of the address that this page does not know: its number is one of nothing else
  let unknown = "";
  const read = () => {
    const words = location.hash.startsWith("#calc?") ? location.hash.slice(6) : "";
    unknown = "";
    for (const [name, raw] of new URLSearchParams(words)) {
      if (!Object.hasOwn(state, name)) continue;
      const value = name === "asked" && Object.hasOwn(ALIASES, raw) ? ALIASES[raw] : raw;
      if (name === "asked" && !Object.hasOwn(ASKED, value)) {
        unknown = "The address asks for “" + value + "”, which this page does not know: it may ask for " + Object.keys(ASKED).join(", ") + ".";
        continue;
      }
      if (name === "law" && !given.laws.some((law) => law.key === value)) continue;
      if (name === "card" && !given.cards.some((card) => card.key === value)) continue;
      state[name] = value;
    }
  };
  const write = () => {
    const words = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== "").map(([name, value]) => [name, String(value)]));
    history.replaceState(null, "", "#calc?" + words);
  };

  // Muennighoff et al. (2023), equation 5
  const worth = (tokens, unique) => unique * (1 - given.repeats.decay * Math.expm1(-(tokens / unique - 1) / given.repeats.decay));

  const NO_COMPUTE = "No compute gives that by this law.";
  const unmet = (law, asked, value) => {
    if (asked === "loss" && law.lowest === null) return law.name + " predicts no loss here.";
    // in the words of isoflop allocate
    if (asked === "loss" && value <= law.lowest) return "No compute gives that by this law; at no compute is its loss below " + WRITE.loss(law.lowest) + ".";
    const none = law.least === null ? "" : law.name + " has no best size below " + flopsIn(law.least) + " FLOPs.";
    if (asked === "flops" && law.least !== null && value < law.least) return none;
    if (!law.table) return NO_COMPUTE + (none && " " + none);
    const has = "this page has " + law.name + " from " + flopsIn(Math.exp(law.table[0][0])) + " to " + flopsIn(Math.exp(law.table[law.table.length - 1][0])) + " FLOPs, and isoflop allocate asks beyond that.";
    if (asked !== "flops") return "No compute that this page has gives that by this law: " + has;
    const [near, where] = farness(law, value);
    return where[0].toUpperCase() + where.slice(1) + ": " + near + "; " + has;
  };
  const isWithin = (decades) => decades < given.within;
  // how far a compute lies from the data, by rule and in words
  const farness = (law, flops) => {
    const [low, high] = law.data, decades = Math.max(Math.log10(flops / high), Math.log10(low / flops));
    const side = isWithin(decades) ? "within" : flops < low ? "below" : "beyond";
    return [
      given.reach.find(([most]) => most === null || Math.round(decades * 10) / 10 <= most)[1],
      (side === "within" ? "" : decades.toFixed(1) + " ") + given.distance[side], decades,
    ];
  };
  const knowsOptimumAlone = (law) => {
    const others = given.laws.filter((one) => one.parts).map((one) => one.name);
    return law.name + " has no loss of other sizes than the optimal one, so it does not say what serving changes. " +
      (others.length ? "These laws do: " + others.join(", ") + "." : "No law here does.");
  };
  const answer = () => {
    if (unknown) return { refused: unknown };
    const law = given.laws.find((one) => one.key === state.law);
    const card = given.cards.find((one) => one.key === state.card);
    const perHour = card.peak * share(state.mfu) * given.hour;
    const hours = state.asked === "hours";
    const asked = hours ? "flops" : state.asked;
    const value = typed(state.value) * (hours ? perHour : 1);
    const served = state.served.trim() === "" ? 0 : typed(state.served);
    const unique = state.unique.trim() === "" ? Infinity : typed(state.unique);
    const price = state.price.trim() === "" ? 0 : typed(state.price);
    const refused = beyond(100 * share(state.mfu), "utilisation", 100, "\u00a0%") || beyond(typed(state.value), LIMITED[state.asked]) ||
      beyond(value, LIMITED[asked]) || beyond(price, "price") || (served !== 0 && beyond(served, "served")) ||
      (unique !== Infinity && beyond(unique, "unique"));
    if (refused) return { refused };
    if (served > 0 && !law.parts) return { refused: knowsOptimumAlone(law) };
    const point = pointOf(law, asked, value);
    if (!Number.isFinite(point.flops)) return { refused: unmet(law, asked, value) };
    if (point.params < 1 || point.tokens < 1) return { refused: "At " + flopsIn(point.flops) + " FLOPs " + law.name + " has no training of a whole parameter and a whole token." };
    const [unanswered, factor] = openness(law, asked, Math.log(point.flops));
    const [, , decades] = farness(law, point.flops);
    if (isWithin(decades) && (factor > given.open.most || isDoubtful(unanswered, given.open.narrowest))) return { refused: given.open.undetermined };
    const { ends: tabulated, without } = tabulatedEnds(law, asked, point);
    // medians of draws between two places, where they jump from one draw to the next
    const between = law.table && !law.table.some(([x]) => Math.abs(x - Math.log(point.flops)) <= SAME);
    const found = {};
    for (const name of QUANTITIES) {
      if (Number.isFinite(point[name])) found[name] = { value: point[name], ends: tabulated[name] || null };
    }
    found.loss && (found.loss.mark = law.mark);
    const alone = { ...found };
    if (served > 0) {
      for (const name of ["params", "tokens", "ratio", "flops"]) delete found[name];
      Object.assign(found, servedBy(law, asked, value, Math.log(point.flops), served));
      if (!found.total) return { refused: NO_COMPUTE };
    }
    const tokens = found.tokens ? found.tokens.value : point.tokens;
    // what is seen 1.00 times is not repeated
    if (tokens > unique && WRITE.epochs(tokens / unique) !== WRITE.epochs(1)) {
      found.epochs = { value: tokens / unique };
      found.worth = { value: worth(tokens, unique) };
    }
    // of training alone, as isoflop allocate has them: nobody says at what utilisation it is served
    const paid = found.flops;
    const scaled = (factor) => ({
      value: paid.value * factor, ends: paid.ends && paid.ends.map((end) => end * factor),
    });
    found.hours = scaled(1 / perHour);
    if (price > 0) found.cost = scaled(price / perHour);
    // of what is to be trained, or of the training whose loss it has, whichever lies farther from the data
    const farther = [point.flops, found.flops.value].reduce((one, other) => farness(law, other)[2] > farness(law, one)[2] ? other : one);
    const [near, where] = farness(law, farther);
    const reach = reachOf(near, served > 0 ? found : alone, served > 0 ? 0 : unanswered);
    const rows = law.ends[asked === "ratio" ? "tokens_per_param" : asked], span = inTable(rows, Math.log(point.flops)) ? null : rows;
    if (served > 0) Object.assign(without, { none: SERVED.filter((name) => found[name] && !found[name].ends), beside: [], places: 1 });
    return { found, where, reach, span, without, between, rough: asked !== "flops" || served > 0, doubt: found.loss ? law.doubt : "", alone: served > 0 ? alone : null };
  };

  const raised = (power) => String(power).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  // 765 to two digits is 770, and no power of ten
  const rounded = (value, digits) => {
    const text = value.toPrecision(digits);
    return text.includes("e") ? String(Number(text)) : text;
  };
  const figures = (value, digits = 3) => {
    const [mantissa, power] = value.toExponential(digits - 1).split("e").map(Number);
    for (const [size, suffix] of SUFFIXES) {
      const near = mantissa * 10 ** power;
      if (near >= size && near < 1e16) return rounded(near / size, digits) + suffix;
    }
    if (value >= 0.01 && value < 1e3) return rounded(value, digits);
    return (mantissa === 1 ? "" : mantissa + " × ") + "10" + raised(power);
  };
  const flopsIn = (value, digits = 3) => {
    const [mantissa, power] = value.toExponential(digits - 1).split("e").map(Number);
    return (mantissa === 1 ? "" : mantissa + " × ") + "10" + raised(power);
  };
  // an estimate has all its digits, zeros among them; of a compute that is asked for they say nothing
  const flopsOf = (value, digits = 3) => {
    if (state.asked === "flops" && state.served.trim() === "") return flopsIn(value, digits);
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    return mantissa + " × 10" + raised(Number(power));
  };
  // hours, and minutes or seconds where they are less than one
  const timeIn = (hours, digits = 3) => hours >= 1 ? figures(hours, digits) + " h" : 60 * hours >= 1 ? rounded(60 * hours, digits) + " min" : figures(3600 * hours, digits) + " s";
  // digits of an interval from thinned draws, whose third digit would be theirs
  const ROUGH = 2;
  const ratioIn = (value, digits = 3) => value >= 1e4 || value < 0.01 ? figures(value, digits) : rounded(value, digits);
  const WRITE = { params: figures, tokens: figures, ratio: ratioIn, loss: (v, digits = 3) => v.toFixed(digits), flops: flopsOf, total: flopsOf, epochs: ratioIn, worth: figures, saved: (v, digits = 3) => rounded(100 * v, digits) + "\u00a0%", hours: timeIn, cost: figures };
  const SHOWN = {
    params: "Parameters N", tokens: "Tokens D", epochs: "Epochs", worth: "As fresh tokens", ratio: "D/N", loss: "Loss", flops: "Compute, FLOPs",
    total: "In all, FLOPs", saved: "Saved in all", hours: "Training time", cost: "Training cost",
  };

  const make = (tag, own = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), own);
    made.append(...inside);
    return made;
  };
  const choose = (name, options) => {
    const select = make("select", { name });
    for (const [value, text] of options) select.append(make("option", { value, textContent: text }));
    return select;
  };
  const label = (text, control) => make("label", {}, text + " ", control);

  const LEAST_WIDTH = 9;
  const controls = {
    asked: choose("asked", Object.entries(ASKED)),
    value: make("input", { name: "value", inputMode: "decimal", size: LEAST_WIDTH }),
    served: make("input", { name: "served", inputMode: "decimal", size: 6 }),
    unique: make("input", { name: "unique", inputMode: "decimal", size: 6 }),
    law: choose("law", given.laws.map((law) => [law.key, law.name])),
    card: choose("card", given.cards.map((card) => [card.key, card.name])),
    mfu: make("input", { name: "mfu", inputMode: "decimal", size: 3 }),
    price: make("input", { name: "price", inputMode: "decimal", size: 4 }),
  };
  const output = make("div", { className: "numbers" });
  const words = make("p", { className: "note" });
  output.setAttribute("role", "status");
  // what is said of intervals
  const level = Math.round(100 * given.level) + "\u00a0%";
  const tables = "from all draws, as in the tables.";
  const placed = "from all draws, for this question, read off a table and so about right; isoflop allocate has more.";
  const ofDraws = "from up to " + given.draws + " draws a law, to two digits; isoflop allocate has all draws.";
  const noneCovers = (places) => ": none" + (places > 1 ? " on either side of here" : "") + " covers as often as it should and contains the number, or too many draws have no answer" + (places > 1 ? "." : " here.");
  const besideNone = ": this page reads them off a table, which on one side of here has none; isoflop allocate asks at the place itself.";
  const BRIEF = { flops: "C", params: "N", tokens: "D", ratio: "D/N", loss: "the loss", total: "the whole", saved: "what is saved" };
  // of each number without an interval, why it has none
  const withheld = ({ none, beside, places }, known) => {
    const all = !known && !(none.length && beside.length);
    const of = (names) => " No " + level + " interval" + (all ? " is given" : " of " + names.map((name) => BRIEF[name]).join(", "));
    return (none.length ? of(none) + noneCovers(places) : "") + (beside.length ? of(beside) + besideNone : "");
  };
  const outside = (rows) => !rows.length ? ": by this law no compute has one for this question." :
    " here: this page has them from " + flopsIn(Math.exp(rows[0][0])) + " to " + flopsIn(Math.exp(rows[rows.length - 1][0])) + " FLOPs, and isoflop allocate has others.";
  // of what tokens the laws speak: of those of the sweep's runs
  const seenAs = () => {
    const { seen } = given.repeats;
    return seen === 1 ? "those of fresh tokens" : "of tokens seen as often as those of these runs" +
      (seen === null ? ", which do not say how often" : ", up to " + WRITE.epochs(seen) + " times");
  };
  // the loss of the laws does not change with repeats, which it should
  const beyondSeen = (epochs) => {
    const { seen } = given.repeats;
    return seen === null || WRITE.epochs(epochs) === WRITE.epochs(seen) || epochs < seen ? "" :
      " No run here saw its tokens as often" + (seen === 1 ? "" : " (" + WRITE.epochs(seen) + " times at most)") + ": expect a higher loss than this, by how much these laws do not say.";
  };
  const show = () => {
    const result = answer(), law = given.laws.find((one) => one.key === state.law);
    output.replaceChildren();
    if (result.refused) {
      words.textContent = result.refused;
      return;
    }
    for (const [name, text] of Object.entries(SHOWN)) {
      const one = result.found[name];
      if (!one) continue;
      const shown = make("p", {}, make("span", { className: "what", textContent: text + (name === "params" ? law.kind : "") }), make("br"), make("strong", { textContent: WRITE[name](one.value) + (one.mark || "") }));
      shown.dataset.quantity = name;
      shown.dataset.value = one.value;
      if (one.ends) {
        shown.append(make("br"), make("span", { className: "ci", textContent: one.ends.map((end) => WRITE[name](end, result.rough ? ROUGH : 3)).join("–") }));
        shown.dataset.low = one.ends[0];
        shown.dataset.high = one.ends[1];
      }
      output.append(shown);
    }
    const { alone } = result;
    const known = Object.values(result.found).some((one) => one.ends);
    words.textContent = (alone ? (state.asked === "loss" ? "The loss is fixed. " : "Asked was " + FIXES[state.asked] + " of training alone: it fixes the loss at " + WRITE.loss(alone.loss.value) + ", and N, D and C change. ") +
      "Cheapest to train and to serve at that loss (2N FLOPs a token served); cheapest to train alone: " +
      figures(alone.params.value) + " on " + figures(alone.tokens.value) + " tokens, " + flopsIn(alone.flops.value) +
      " FLOPs. Intervals end as far out among the draws as those of N and of the loss without serving; how often they then cover was not counted. Hours and cost are of training, not of serving. " : "") + result.where[0].toUpperCase() + result.where.slice(1) + ": " + result.reach + "." + (law.counted && " " + law.counted) +
      (known ? " Intervals: " + level + ", " + (alone ? ofDraws : result.rough ? placed : tables) : "") +
      (result.span && !alone ? " No " + level + " interval is given" + outside(result.span) : withheld(result.without, known)) +
      (result.between ? " Its numbers stand between two places of a table: the third digit may differ from that of isoflop allocate." : "") +
      (result.found.epochs ? " Tokens are seen " + WRITE.epochs(result.found.epochs.value) + " times: N and loss are " + seenAs() + ". What repeats are worth falls off over " +
        rounded(given.repeats.decay, 3) + " of them by " + given.repeats.authors + " (" + given.repeats.year + "), not fitted here." + beyondSeen(result.found.epochs.value) : "") +
      (result.doubt ? " " + result.doubt : "");
  };
  // as wide as what it has, so that every digit of a long number is seen
  const fit = () => { controls.value.size = Math.max(LEAST_WIDTH, controls.value.value.length + 1); };
  const fill = () => { for (const [name, control] of Object.entries(controls)) control.value = state[name]; fit(); };
  for (const [name, control] of Object.entries(controls)) {
    control.addEventListener("input", () => { unknown = ""; state[name] = control.value; fit(); write(); show(); });
  }
  addEventListener("hashchange", () => { read(); fill(); show(); });
  place.append(
    make("p", { className: "calc" },
      label("Ask", controls.asked), label("=", controls.value), label("by", controls.law), label("tokens served", controls.served), label("unique tokens", controls.unique),
      label("card", controls.card), label("at %", controls.mfu), label("price per hour", controls.price)),
    output, words,
  );
  read();
  fill();
  show();
})();
