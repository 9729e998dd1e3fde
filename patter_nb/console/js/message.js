// @ts-check
/**
 * The message box: whoever cannot or will not speak loses nothing. Below it, folded, a recording to send instead of a voice.
 */
import { button, keepKeys, make, setText } from "./dom.js";
import { asSeconds } from "./figures.js";

/**
 * @param {import("./pages.js").Link} link
 * @returns {import("./bar.js").Part}
 */
export function messageBox({ store, talk }) {
  const named = { "aria-label": "Message", placeholder: "Message" };
  const box = make("textarea", { class: "patter-input", rows: "1", dir: "auto", enterkeyhint: "send", ...named });
  const sendButton = button("Send", send);
  const recording = recordingMenu({ store, talk });
  const line = make("div", { class: "patter-message" }, box, sendButton);
  const element = make("div", { class: "patter-foot" }, line, recording.element);
  keepKeys(box);
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") box.value = "";
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send();
  });

  function send() {
    if (box.value.trim() === "") return box.focus();
    if (talk.type(box.value)) box.value = "";
  }

  return { element, update: recording.update };
}

/**
 * @param {import("./pages.js").Link} link
 * @returns {import("./bar.js").Part}
 */
function recordingMenu({ store, talk }) {
  const file = make("input", { type: "file", accept: "audio/*,video/*", hidden: true, "aria-label": "Recording" });
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    if (chosen !== undefined) void talk.sendFile(chosen);
    file.value = "";
  });
  const example = button("The example question", () => talk.sendExample(), { class: "patter-button patter-small" });
  const choose = button("A file …", () => file.click(), { class: "patter-button patter-small" });
  const progress = make("span", { class: "patter-quiet" });
  const summary = make("summary", { "data-lm-suppress-shortcuts": "true" }, "Send a recording");
  const choices = make("div", { class: "patter-choices" }, example, choose, file, progress);
  const element = make("details", { class: "patter-recording" }, summary, choices);

  function update() {
    const { sending, picture, hearsPages } = store;
    element.hidden = !hearsPages || (picture.runs.hears === null && !picture.runs.engine);
    example.disabled = choose.disabled = sending !== null || !store.live;
    setText(progress, sending === null ? "" : `sending ${sending.name}, ${asSeconds(sending.seconds * 1000)} …`);
  }

  return { element, update };
}
