"""How ads come in: files, labelled examples as gold items, the scoring API's feedback."""
