"""The rules of work: who reads which ad, how an opinion is kept, who decides, what is forgotten."""
