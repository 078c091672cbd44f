"""The symbols of the LaTeX of formulas, and their letters in Unicode."""

# ruff: noqa: RUF001 - letters that look like others are what it is about

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ",
    "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
SYMBOLS = GREEK | {
    "partial": "∂", "infty": "∞", "nabla": "∇", "ell": "ℓ", "top": "T", "dots": "…", "ldots": "…", "cdots": "⋯",
    "sum": "Σ", "prod": "Π", "prime": "′",
}  # fmt: skip
BINARY = {"+": "+", "-": "-", "/": "/", "cdot": "·", "odot": "⊙", "times": "×", "pm": "±", "circ": "∘", "ast": "∗"}
RELATIONS = {
    "=": "=", "<": "<", ">": ">", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "in": "∈",
    "to": "→", "approx": "≈", "sim": "∼", "propto": "∝",
}  # fmt: skip
PUNCTUATION = {",": ",", ";": ";", ".": ".", ":": ":", "!": "!", "|": "|", "mid": "|"}
OPERATORS = BINARY | RELATIONS | PUNCTUATION
FUNCTIONS = {"log", "exp", "tanh", "sinh", "cosh", "sin", "cos", "tan", "arctan", "max", "min", "arg"}
OPENING = {"(": "(", "[": "[", "{": "{", "lVert": "‖", "lvert": "|", "lfloor": "⌊", "lceil": "⌈"}
CLOSING = {")": ")", "]": "]", "}": "}", "rVert": "‖", "rvert": "|", "rfloor": "⌋", "rceil": "⌉"}
FENCES = OPENING | CLOSING | {"|": "|", "": ""}
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
BOARD = {"1": "𝟙", "R": "ℝ", "N": "ℕ", "Z": "ℤ", "C": "ℂ", "E": "𝔼", "P": "ℙ"}
APPLIED = {
    "f",
    "g",
    "R",
    "sigma",
    "Phi",
    "varphi",
    "Gamma",
    "psi",
    "ell",
}  # what stands before (...) as a function of it

SUPERSCRIPTS = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVW",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂ",
        strict=True,
    )
)
SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
