// @ts-check
/**
 * What can be wrong with sound in a page, in words that a person can act on.
 *
 * Browsers say "NotAllowedError" for a person who said no, a front end that never asks, and a page on plain http alike. Each needs
 * something else done, so the cause is found out here and the remedy said with it.
 */

/**
 * @typedef {"insecure-origin" | "denied" | "denied-by-front-end" | "no-microphone" | "microphone-busy" | "suspended" | "unsupported"}
 *   AudioFaultName
 */

/** @type {Record<AudioFaultName, [cause: string, remedy: string]>} */
const AUDIO_FAULTS = {
  "insecure-origin": [
    "Browsers give the microphone only to pages from https or from this computer, and this page is neither.",
    "Open the notebook under https, or as http://localhost (by an SSH tunnel, if it runs elsewhere).",
  ],
  denied: [
    "This browser does not let the page use the microphone.",
    "Allow it in the site settings (the icon beside the address; on a Mac also in the system's privacy settings), then press Talk again.",
  ],
  "denied-by-front-end": [
    "The program that shows this notebook does not let its pages use the microphone, whatever the browser's settings say.",
    "Open the notebook in JupyterLab in a browser; here you can type, or send a recording.",
  ],
  "no-microphone": [
    "There is no microphone, or not the one that was chosen.",
    "Plug one in or choose another; or type, or send a recording.",
  ],
  "microphone-busy": [
    "The microphone is there but gives no sound: another program holds it, or the system has switched it off.",
    "Close the other program, or choose another microphone, then press Talk again.",
  ],
  suspended: ["The browser plays and records nothing before the person has clicked in the page.", "Click, or press a key, in the page."],
  unsupported: ["This browser cannot process sound for the agent.", "Use a current Chrome, Edge, Firefox or Safari; here you can type."],
};

/** Something is wrong with the page's sound. `name` says what, `cause` and `remedy` in plain words, `detail` what the browser said. */
export class AudioFault extends Error {
  /**
   * @param {AudioFaultName} name
   * @param {string} [detail]
   */
  constructor(name, detail = "") {
    const [cause, remedy] = AUDIO_FAULTS[name];
    super(detail === "" ? cause : `${cause} (${detail})`);
    this.name = name;
    /** @type {string} */
    this.cause = cause;
    this.remedy = remedy;
    this.detail = detail;
  }
}

/** Why `getUserMedia` gave no microphone. @param {unknown} error what it threw */
export function microphoneFault(error) {
  if (error instanceof AudioFault) return error;
  const { name } = /** @type {{name?: unknown}} */ (error ?? {});
  const detail = String(error);
  switch (name) {
    case "NotAllowedError":
      return new AudioFault(frontEndForbids() ? "denied-by-front-end" : "denied", detail);
    case "SecurityError":
      return new AudioFault("denied-by-front-end", detail);
    case "NotFoundError":
    case "OverconstrainedError":
      return new AudioFault("no-microphone", detail);
    case "NotReadableError":
    case "AbortError":
      return new AudioFault("microphone-busy", detail);
    default:
      return new AudioFault("unsupported", detail);
  }
}

/** Throws the AudioFault of a page that cannot have a microphone at all. */
export function checkMicrophonePossible() {
  if (!globalThis.isSecureContext) throw new AudioFault("insecure-origin", location.origin);
  if (navigator.mediaDevices?.getUserMedia === undefined) throw new AudioFault("unsupported", "no navigator.mediaDevices");
}

/** Whether a frame around the notebook keeps the microphone from it: by a permissions policy, or as VS Code's webviews all do. */
function frontEndForbids() {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  return location.protocol === "vscode-webview:" || policy?.allowsFeature("microphone") === false;
}
