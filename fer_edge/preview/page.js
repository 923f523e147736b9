"use strict";

// The live page. Every text that comes from a bundle or a path is put in by textContent, so none of it becomes markup.
(() => {
  const WINDOW_S = 30; // what the time lines show
  const GONE_AFTER_S = 3; // a face that was not found for so long loses its card
  const MISSING_AFTER_S = 0.6; // and is paler before
  const MAX_CARDS = 12; // more are no use to anybody
  const MAX_RECORDS = 40; // of frames whose picture may still come: four seconds of them
  const STALE_MS = 4000; // without a frame for so long, a rate is no rate any more
  const SPEAK_EVERY_MS = 4000; // a screen reader needs as long for a sentence
  const STEADY_S = 1; // an expression that holds shorter is not spoken
  const TABLE_STEP_S = 5;
  const RETRY_MS = 3000;
  const N_COLOURS = 8;
  const LABEL_PX = 26; // height of a box's label and its gap
  const SMALL_PX = 48; // a narrower box has its face's number on it alone
  const LARGE_PX = 110; // a wider one has the probability too
  const PART_NAMES = { pnet: "P-Net", rnet: "R-Net", onet: "O-Net" };

  const byId = (id) => document.getElementById(id);
  const stage = byId("stage");
  const picture = byId("picture");
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  const lessMotion = matchMedia("(prefers-reduced-motion: reduce)");

  const faces = new Map(); // by track number, else by place in the record
  const records = new Map(); // by number of the event; pictures have the same numbers
  let run = null;
  let stream = null;
  let pictureLoop = null; // an AbortController while pictures are asked for
  let pictureNumber = 0;
  let clockS = 0;
  let gapS = 1.5; // between two samples of one face, a longer time is a gap
  let framesAtMs = 0;
  let spokenAtMs = 0;
  let tableAtMs = 0;
  let isPaused = false;
  let isHidden = false;
  let hasEnded = false;
  let isDrawing = false;
  let sourceState = { online: true, reason: "" };
  let colours = [];
  let gapColour = "";

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function setText(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  const percent = (share) => `${Math.round(100 * share)} %`;
  const milliseconds = (value) => `${value.toFixed(value < 100 ? 1 : 0)}\u00a0ms`;

  function setFigure(id, value, unit) {
    const node = byId(id);
    const text = unit ? `${value} ${unit}` : value;
    if (node.textContent === text) return;
    node.textContent = unit ? `${value} ` : value;
    if (unit) node.append(element("small", "", unit));
  }

  function setState(state, text) {
    byId("state").dataset.state = state;
    setText(byId("state"), text);
  }

  // What the badge and the note on the picture say, by what matters most.
  function showState() {
    let note = pictureNumber || isHidden ? "" : "Waiting for a frame";
    if (isHidden) note = "Picture hidden";
    if (hasEnded) {
      setState("ended", "ended");
      note = "The run has ended";
    } else if (isPaused) {
      setState("paused", "paused");
      note = "Paused";
    } else if (!stream || stream.readyState !== EventSource.OPEN) {
      setState(run ? "lost" : "connecting", run ? "connection lost, trying again" : "connecting");
    } else if (!sourceState.online) {
      setState("offline", sourceState.reason ? `source offline: ${sourceState.reason}` : "source offline");
      note = "The source is offline";
    } else {
      setState("live", "live");
    }
    setText(byId("stage-note"), note);
  }

  // The stream of events -----------------------------------------------------------------------------------------

  function connect() {
    disconnect();
    if (isPaused || document.hidden) return;
    const mine = new EventSource("/events");
    stream = mine;
    mine.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      if (hello.run !== run) reset(hello.run);
      hasEnded = false;
      showState();
      wantPictures();
    });
    mine.addEventListener("source", (event) => {
      sourceState = JSON.parse(event.data);
      showState();
    });
    mine.addEventListener("frame", (event) => showFrame(JSON.parse(event.data)));
    mine.addEventListener("end", () => {
      hasEnded = true;
      disconnect();
      showState();
      setTimeout(reconnect, RETRY_MS, null); // a service starts anew at the same address
    });
    mine.addEventListener("error", () => {
      showState();
      // The browser tries again by itself after a broken connection, but not after a refusal.
      if (mine.readyState === EventSource.CLOSED) setTimeout(reconnect, RETRY_MS, mine);
    });
  }

  // Only where nothing else has been done in the meantime.
  function reconnect(after) {
    if (stream === after) connect();
  }

  function disconnect() {
    if (stream) stream.close();
    stream = null;
    if (pictureLoop) pictureLoop.abort();
    pictureLoop = null;
  }

  // Numbers and clock of another run begin anew.
  function reset(newRun) {
    run = newRun;
    pictureNumber = 0;
    records.clear();
    faces.clear();
    byId("cards").replaceChildren();
  }

  function showFrame(message) {
    framesAtMs = performance.now();
    clockS = message.clock_s;
    gapS = Math.max(1.5, 3 / (message.frames_per_s || 3));
    records.set(message.number, message.record);
    if (records.size > MAX_RECORDS) records.delete(records.keys().next().value);
    const source = message.record.source;
    setText(byId("source"), source.split("/").pop() || source);
    byId("source").title = source;
    showFigures(message);
    showFaces(message.record);
    if (isHidden || message.number === pictureNumber) showBoxes(message.record);
    if (!lessMotion.matches) drawSoon();
  }

  // Pictures -----------------------------------------------------------------------------------------------------

  function wantPictures() {
    if (pictureLoop) pictureLoop.abort();
    pictureLoop = null;
    if (isHidden || isPaused || !stream) return;
    pictureLoop = new AbortController();
    askForPictures(pictureLoop.signal);
  }

  // One at a time: a slow phone or network gets fewer pictures, not later ones.
  async function askForPictures(signal) {
    while (!signal.aborted) {
      try {
        const response = await fetch(`/frame.jpg?after=${pictureNumber}`, { signal });
        if (response.status !== 200) {
          await pause(response.ok ? 100 : RETRY_MS);
          continue;
        }
        const bitmap = await createImageBitmap(await response.blob());
        if (!signal.aborted) showPicture(bitmap, Number(response.headers.get("Fer-Edge-Number")));
        bitmap.close();
      } catch (error) {
        if (signal.aborted) return;
        await pause(RETRY_MS);
      }
    }
  }

  const pause = (duration) => new Promise((resolve) => setTimeout(resolve, duration));

  function showPicture(bitmap, number) {
    const isFirst = pictureNumber === 0;
    pictureNumber = number;
    if (picture.width !== bitmap.width || picture.height !== bitmap.height) {
      picture.width = bitmap.width;
      picture.height = bitmap.height;
    }
    picture.getContext("2d").drawImage(bitmap, 0, 0);
    // The boxes are those of this very frame. Its event may come later than its picture, and then draws them.
    const record = records.get(number);
    if (record) showBoxes(record);
    else byId("boxes").replaceChildren();
    if (isFirst) showState();
  }

  function showBoxes(record) {
    const [width, height] = record.size_wh;
    stage.style.setProperty("--ratio", String(width / height));
    const shownWidth = stage.clientWidth;
    const shownHeight = stage.clientHeight;
    const boxes = record.faces.map((face, index) => {
      const [left, top, right, bottom] = face.box_xyxy;
      const box = element("div", "box");
      box.style.left = `${(100 * left) / width}%`;
      box.style.top = `${(100 * top) / height}%`;
      box.style.width = `${(100 * (right - left)) / width}%`;
      box.style.height = `${(100 * (bottom - top)) / height}%`;
      if ((top / height) * shownHeight < LABEL_PX) {
        box.classList.add((1 - bottom / height) * shownHeight < LABEL_PX ? "inside" : "below");
      }
      if (left / width > 0.7) box.classList.add("leftward");
      const label = element("span");
      label.append(element("i", colourClass(face)), String(numberOf(face, index)));
      // Beside small faces there are others, and their labels; the cards have the rest.
      const boxPx = ((right - left) / width) * shownWidth;
      if (boxPx > SMALL_PX || record.faces.length === 1) label.append(` ${face.emotion}`);
      if (boxPx > LARGE_PX) label.append(` ${percent(face.probs[face.emotion])}`);
      box.append(label);
      return box;
    });
    byId("boxes").replaceChildren(...boxes);
  }

  // Faces --------------------------------------------------------------------------------------------------------

  const numberOf = (face, index) => face.track_id ?? index + 1;
  const inOrder = () => [...faces].sort(([one], [other]) => one - other).map(([, entry]) => entry);
  const colourClass = (face) => `e${Object.keys(face.probs).indexOf(face.emotion) % N_COLOURS}`;

  function showFaces(record) {
    record.faces.forEach((face, index) => {
      const number = numberOf(face, index);
      let entry = faces.get(number);
      if (!entry) {
        if (faces.size >= MAX_CARDS) return;
        entry = newCard(number, Object.keys(face.probs));
        faces.set(number, entry);
      }
      updateCard(entry, face);
    });
    for (const [number, entry] of faces) {
      const missingS = clockS - entry.seenS;
      entry.card.classList.toggle("gone", missingS > MISSING_AFTER_S);
      if (missingS > GONE_AFTER_S) {
        entry.card.remove();
        faces.delete(number);
      }
    }
    const n = record.faces.length;
    const more = n > MAX_CARDS ? `, ${MAX_CARDS} of them shown` : "";
    setText(byId("n-faces"), n === 0 ? "none in the picture" : `${n} in the picture${more}`);
    byId("empty").hidden = faces.size > 0;
    const description = `${isHidden ? "Hidden" : "Live"} picture with ${n} ${n === 1 ? "face" : "faces"}`;
    if (picture.getAttribute("aria-label") !== description) picture.setAttribute("aria-label", description);
  }

  function newCard(number, labels) {
    const card = element("li", "card");
    const heading = element("h3");
    const word = element("span", "word");
    const likely = element("span", "likely");
    heading.append(element("span", "number", `Face ${number}`), word, likely);
    const table = element("table");
    table.append(element("caption", "unseen", `Face ${number}: probabilities`));
    const body = element("tbody");
    const rows = labels.map((label, index) => {
      const row = element("tr");
      const name = element("th", "", label);
      name.scope = "row";
      const cell = element("td");
      const bar = element("div", "bar");
      const fill = element("i", `e${index % N_COLOURS}`);
      const value = element("td");
      bar.append(fill);
      cell.append(bar);
      row.append(name, cell, value);
      body.append(row);
      return { row, fill, value };
    });
    table.append(body);
    const figure = element("figure", "time");
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Face ${number}: probabilities over the last 30 seconds; the table below has them`);
    const axis = element("figcaption");
    axis.setAttribute("aria-hidden", "true");
    axis.append(element("span", "", "30 s ago"), element("span", "", "now"));
    figure.append(canvas, axis);
    const both = element("div", "both");
    both.append(table, figure);
    card.append(heading, both);
    const next = inOrder().find((entry) => entry.number > number);
    byId("cards").insertBefore(card, next ? next.card : null);
    return { number, name: `Face ${number}`, card, word, likely, rows, canvas, labels, samples: [], emotion: "", spoken: "" };
  }

  function updateCard(entry, face) {
    const shares = entry.labels.map((label) => face.probs[label] ?? 0);
    if (entry.emotion !== face.emotion) {
      entry.emotion = face.emotion;
      entry.sinceS = clockS;
    }
    entry.seenS = clockS;
    entry.samples.push({ atS: clockS, shares, emotion: face.emotion });
    while (entry.samples[0].atS < clockS - WINDOW_S - gapS) entry.samples.shift();
    setText(entry.word, face.emotion);
    setText(entry.likely, percent(face.probs[face.emotion]));
    entry.rows.forEach(({ row, fill, value }, index) => {
      row.classList.toggle("top", entry.labels[index] === face.emotion);
      fill.style.width = `${(100 * shares[index]).toFixed(1)}%`;
      setText(value, percent(shares[index]));
    });
  }

  // Time lines: probabilities stacked in the order of the bars, so that each moment fills the height -------------

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    colours = Array.from({ length: N_COLOURS }, (_, index) => style.getPropertyValue(`--e${index}`).trim());
    gapColour = style.getPropertyValue("--card").trim();
  }

  function drawSoon() {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      for (const entry of faces.values()) drawTimeLine(entry);
    });
  }

  function drawTimeLine({ canvas, samples, labels }) {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    const density = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    const xOf = (sample) => width * (1 - (clockS - sample.atS) / WINDOW_S);
    for (const stretch of stretches(samples)) {
      const xs = stretch.map(xOf);
      let upper = stretch.map(() => 0);
      labels.forEach((_, index) => {
        const lower = stretch.map((sample, at) => upper[at] + height * sample.shares[index]);
        context.beginPath();
        xs.forEach((x, at) => context.lineTo(x, upper[at]));
        for (let at = xs.length - 1; at >= 0; at -= 1) context.lineTo(xs[at], lower[at]);
        context.closePath();
        context.fillStyle = colours[index % N_COLOURS];
        context.fill();
        upper = lower;
        if (index === labels.length - 1) return;
        // A line between neighbours tells them apart where their colours do not.
        context.beginPath();
        xs.forEach((x, at) => context.lineTo(x, lower[at]));
        context.strokeStyle = gapColour;
        context.lineWidth = 0.75;
        context.stroke();
      });
    }
  }

  function stretches(samples) {
    const found = [];
    samples.forEach((sample, index) => {
      if (index === 0 || sample.atS - samples[index - 1].atS > gapS) found.push([]);
      found[found.length - 1].push(sample);
    });
    return found;
  }

  // Figures ------------------------------------------------------------------------------------------------------

  function showFigures(message) {
    const latency = message.mean_latency_ms;
    const parts = message.mean_stages_ms;
    setFigure("rate", message.frames_per_s === null ? "–" : message.frames_per_s.toFixed(1));
    setFigure("total", latency.total.toFixed(latency.total < 100 ? 1 : 0), "ms");
    setFigure("dropped", String(message.n_dropped));
    if (message.temperature_c === null) setFigure("temperature", "–");
    else setFigure("temperature", message.temperature_c.toFixed(1), "°C");
    const following = parts.follow ?? 0;
    const stages = [["decode", latency.decode], ["detect", Math.max(latency.detect - following, 0)], ["classify", latency.classify]];
    if ("follow" in parts) stages.splice(1, 0, ["follow", following]);
    showStages(stages);
    const inside = Object.entries(parts).filter(([name]) => name !== "follow" && name !== "classify");
    const text = inside.map(([name, value]) => `${PART_NAMES[name] ?? name} ${milliseconds(value)}`).join(", ");
    setText(byId("parts"), text ? `Of these: ${text}. Means of 2 seconds.` : "");
  }

  const STAGE_COLOURS = { decode: 0, follow: 1, detect: 2, classify: 3 };

  function showStages(stages) {
    const stack = byId("stack");
    const legend = byId("stages");
    if (stack.childElementCount !== stages.length) {
      stack.replaceChildren(...stages.map(([name]) => element("i", `t${STAGE_COLOURS[name]}`)));
      legend.replaceChildren(
        ...stages.map(([name]) => {
          const entry = element("li");
          const key = element("i", `t${STAGE_COLOURS[name]}`);
          key.setAttribute("aria-hidden", "true");
          entry.append(key, element("span"));
          return entry;
        }),
      );
    }
    stages.forEach(([name, value], index) => {
      stack.children[index].style.flexGrow = String(value);
      setText(legend.children[index].lastElementChild, `${name} ${milliseconds(value)}`);
    });
  }

  // For those who listen or read -----------------------------------------------------------------------------------

  function speak(nowMs) {
    if (nowMs - spokenAtMs < SPEAK_EVERY_MS) return;
    const changes = [];
    for (const entry of inOrder()) {
      const isSteady = clockS - entry.sinceS >= STEADY_S && clockS - entry.seenS <= MISSING_AFTER_S;
      if (isSteady && entry.emotion !== entry.spoken) {
        entry.spoken = entry.emotion;
        changes.push(`${entry.name}: ${entry.emotion}`);
      }
    }
    if (changes.length === 0) return;
    spokenAtMs = nowMs;
    byId("spoken").textContent = `${changes.join(". ")}.`;
  }

  function showTable() {
    const shown = inOrder();
    const head = element("tr");
    for (const name of ["When", ...shown.map((entry) => entry.name)]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    byId("history-head").replaceChildren(head);
    const rows = [];
    for (let agoS = 0; agoS <= WINDOW_S; agoS += TABLE_STEP_S) {
      const row = element("tr");
      const name = element("th", "", agoS === 0 ? "now" : `${agoS} s ago`);
      name.scope = "row";
      row.append(name);
      for (const entry of shown) {
        const atS = clockS - agoS;
        const sample = entry.samples.findLast((one) => one.atS <= atS);
        const isThere = sample && atS - sample.atS <= gapS;
        const share = isThere ? sample.shares[entry.labels.indexOf(sample.emotion)] : 0;
        row.append(element("td", "", isThere ? `${sample.emotion} ${percent(share)}` : "–"));
      }
      rows.push(row);
    }
    byId("history-body").replaceChildren(...rows);
  }

  function everySecond() {
    const nowMs = performance.now();
    if (isPaused || hasEnded) return;
    if (framesAtMs && nowMs - framesAtMs > STALE_MS) {
      setFigure("rate", "–");
      for (const entry of faces.values()) entry.card.classList.add("gone");
    }
    speak(nowMs);
    if (lessMotion.matches) drawSoon();
    if (byId("history").open && nowMs - tableAtMs >= 1000 * TABLE_STEP_S) {
      tableAtMs = nowMs;
      showTable();
    }
  }

  // Controls -----------------------------------------------------------------------------------------------------

  byId("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    setText(byId("pause"), isPaused ? "Resume" : "Pause");
    connect();
    showState();
  });
  byId("hide").addEventListener("click", () => {
    isHidden = !isHidden;
    setText(byId("hide"), isHidden ? "Show picture" : "Hide picture");
    if (isHidden) picture.getContext("2d").clearRect(0, 0, picture.width, picture.height);
    wantPictures();
    showState();
  });
  byId("history").addEventListener("toggle", showTable);
  document.addEventListener("visibilitychange", connect); // nobody looks: nothing is sent
  darkScheme.addEventListener("change", () => {
    readColours();
    drawSoon();
  });
  window.addEventListener("resize", drawSoon);

  // The token that opened the page is a cookie now, and shall not stay in sight.
  if (location.pathname !== "/") history.replaceState(null, "", "/");
  readColours();
  setInterval(everySecond, 1000);
  connect();
})();
