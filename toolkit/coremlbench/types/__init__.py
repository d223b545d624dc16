"""The nouns of coremlbench: what runs take, and what their records say.

An ``Experiment`` becomes a request; the supervised children of a run end as an ``Exit`` each; a run ends as
``Trained`` or as a ``Failure``, and either way as one ``TrainingRecord`` on disk.

Units are SI: seconds, bytes, joules, shares from 0 to 1. They are rounded where text is made, nowhere else. The modules
here import the standard library and each other only.
"""
