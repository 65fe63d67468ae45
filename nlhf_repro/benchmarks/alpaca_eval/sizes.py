"""How many questions AlpacaEval has, for plans that are made before its files are there."""

QUESTIONS = 805  # of alpaca_eval_gpt4_baseline.json: see `reference`
