// Listens to what the page plays, and can let its microphone hear it.
//
// Whatever is connected to the output of an AudioContext is connected to a recorder as well; __heard() hands out what that recorded.
// With `echo`, every stream that getUserMedia gives holds the page's sound too, later by echo.delay_ms and quieter by echo.loss_db.
// Sound that goes another way (an <audio> element, speechSynthesis) is not heard here.
//
// What a worklet's process() throws reaches neither the page nor its console; here it becomes an uncaught exception of the page, unless
// the page has an onprocessorerror for it.
(options) => {
  if (!window.isSecureContext) return; // no microphone and no worklets there, and nothing to listen with
  const Context = window.AudioContext;
  const { connect, disconnect } = AudioNode.prototype;
  const taps = new Map(); // AudioDestinationNode -> the node that hears what is sent there
  const rooms = new Set(); // the open microphones' rooms, which echo
  const blocks = [];

  const recorder = `registerProcessor("page-sound", class extends AudioWorkletProcessor {
    block = new Int16Array(2048);
    filled = 0;
    process([[samples]]) {
      for (let i = 0; i < 128; i++) this.block[this.filled++] = Math.round(32767 * Math.max(-1, Math.min(1, samples?.[i] ?? 0)));
      if (this.filled === this.block.length) {
        this.port.postMessage({ frame: currentFrame + 128 - this.filled, pcm: this.block }, [this.block.buffer]);
        this.block = new Int16Array(2048);
        this.filled = 0;
      }
      return true;
    }
  });`;
  const module = URL.createObjectURL(new Blob([recorder], { type: "text/javascript" }));

  const listen = async (context, tap, number) => {
    await context.audioWorklet.addModule(module);
    const node = new window.AudioWorkletNode(context, "page-sound", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data: { frame, pcm } }) => {
      const at = performance.timeOrigin + performance.now() - (context.currentTime - frame / context.sampleRate) * 1000;
      blocks.push({ context: number, rate: context.sampleRate, frame, at, pcm });
    };
    connect.call(tap, node);
    connect.call(node, context.destination); // it puts out silence, and so goes on being asked
  };

  window.AudioContext = class AudioContext extends Context {
    constructor(...args) {
      super(...args);
      const tap = this.createGain();
      taps.set(this.destination, tap);
      listen(this, tap, taps.size).catch((error) => {
        if (this.state !== "closed") throw error;
      });
      if (options.echo) {
        tap.echo = this.createMediaStreamDestination();
        connect.call(tap, tap.echo);
        for (const room of rooms) room.add(tap.echo.stream);
      }
    }
  };

  AudioNode.prototype.connect = function (target, output = 0, ...rest) {
    if (taps.has(target)) connect.call(this, taps.get(target), output);
    return connect.call(this, target, output, ...rest);
  };
  AudioNode.prototype.disconnect = function (...args) {
    if (taps.has(args[0])) disconnect.call(this, taps.get(args[0]), ...args.slice(1, 2));
    return disconnect.apply(this, args);
  };

  const Node = window.AudioWorkletNode;
  window.AudioWorkletNode = class AudioWorkletNode extends Node {
    constructor(context, name, ...rest) {
      super(context, name, ...rest);
      this.onprocessorerror = ({ message }) => { // for addEventListener Chromium 156 has no such event
        throw new Error(`audio worklet ${name}: ${message}`);
      };
    }
  };

  const base64 = (pcm) => btoa(String.fromCharCode(...new Uint8Array(pcm.buffer)));
  window.__heard = (since = 0) => blocks.slice(since).map((block) => ({ ...block, pcm: base64(block.pcm) }));

  if (!options.echo) return;
  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (constraints) {
    const microphone = await getUserMedia.call(this, constraints);
    const context = new Context();
    context.resume();
    const mixed = context.createMediaStreamDestination();
    const way = context.createDelay(10);
    way.delayTime.value = options.echo.delay_ms / 1000;
    const loss = context.createGain();
    loss.gain.value = 10 ** (-options.echo.loss_db / 20);
    connect.call(context.createMediaStreamSource(microphone), mixed);
    connect.call(connect.call(way, loss), mixed);
    const room = { add: (stream) => connect.call(context.createMediaStreamSource(stream), way) };
    for (const tap of taps.values()) room.add(tap.echo.stream);
    rooms.add(room);
    const [track] = mixed.stream.getAudioTracks();
    const stop = track.stop.bind(track);
    track.stop = () => {
      stop();
      microphone.getTracks().forEach((heard) => heard.stop());
      rooms.delete(room);
      context.close();
    };
    return mixed.stream;
  };
}
