"""Tags of words: `retrograd train words.conll --task tags`."""
