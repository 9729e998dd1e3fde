"""The keyless language model. Two ways to answer stand behind one class, and the model's own chat template says which is taken:

deciding    a model that handles tools decides by itself
choosing    a model too small for that: `choose` finds the tool, `slots` its arguments, `reply` the words
runtime     llama.cpp in this process; `encoder` sentences as vectors; `files` where the weights lie
"""

from patter_nb.llm.local.files import local_model_is_installed
from patter_nb.llm.local.provider import LocalLLM

__all__ = ["LocalLLM", "local_model_is_installed"]
