// What the modules find in their global scope and no library of TypeScript declares.

/** The text of the audio thread's modules, joined; put in front of the page's modules by Python. */
declare const WORKLET_SOURCE: string;

// AudioWorkletGlobalScope, https://webaudio.github.io/web-audio-api/#AudioWorkletGlobalScope
declare const currentFrame: number;
declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

// Chromium has the one or the other; Firefox and Safari have neither.
interface PermissionsPolicy {
  allowsFeature(feature: string): boolean;
}
interface Document {
  readonly permissionsPolicy?: PermissionsPolicy;
  readonly featurePolicy?: PermissionsPolicy;
}
