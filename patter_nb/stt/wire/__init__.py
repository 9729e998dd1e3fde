"""Speech to text at a vendor: what all of them share.

vendor     keys, options, errors       socket     STT over a WebSocket       upload     STT by one request for each utterance
whisper_upload  what OpenAI's Whisper is asked, and answers
told       what a vendor says          stream     from `open` to `aclose`    link       one WebSocket
sounding   sound as a vendor wants it, and where in it a word was
"""
