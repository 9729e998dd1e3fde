"""Words that end with a period without ending a sentence, and words that begin one.

One union for English, Italian, Spanish, German, French and Portuguese: answers mix languages (names, addresses, quotations),
and no entry of one language is a common sentence end in another. A lower-case entry stands for its capitalised form too; a
capitalised entry only for itself, because its lower-case form is a common word ("Rep." but "one more rep.").
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Abbreviation: TypeAlias = Literal["title", "numbered", "either"]
"""title     what it belongs to always follows: "Dr. Rossi", "z. B. Äpfel"
numbered  an abbreviation only before a number, else a word: "No. 5", "No. I will."
either    may end a sentence: "Acme Inc. of Boston", "in the U.S. It"; the word that follows tells"""

_TITLE = """
    mr mrs Ms mx messrs dr drs prof profs rev msgr supt cmdr Hon Gen Col Maj Capt Cpt Sgt Lt Cpl Adm Brig Gov Sen Rep Pres Amb Insp
    Det Mt vs viz cf e.g i.e eg ie approx esp incl excl
    sig sigg sig.ra sig.na sig.rina sig.ri dott dott.ssa dott.ri prof.ssa ing avv geom Arch Rag On Egr Gent Cav spett cfr p.es
    sra sras srta dra dras dña gral Lic Arq Dn avda av p.ej ej ee
    Hr hrn Fr dipl bzw bspw vgl sog evtl ggf ggfs inkl exkl zzgl abzgl bzgl geb gest ca z.b d.h u.a o.ä u.ä v.a i.d.r z.t s.o s.u
    m.e mme mmes mlle mlles mgr MM Pr p.ex
    profa exmo exma ilmo ilma Eng Sto Sta
"""
_TITLE_PAIRS = ("ad es", "per es", "p. ej", "p. ex", "por ej", "par ex")

_NUMBERED = """
    no nos num núm fig figs art arts cap max tab ext para ch env
    jan feb mar jun jul aug sep sept oct nov dec okt dez gen lug ago set ott dic ene abr janv févr avr juil déc fev
"""

_EITHER = """
    etc ecc usw uvm inc ltd jr sr co corp plc bros cie esq st ste ave blvd rd sq pl str hwy rt rte ft lb lbs oz min hr hrs sec dept
    univ assn est vol vols pp pg pag pagg pág págs sez chap kap bd ziff abs nr nrn tel tél cit op ibid resp mio mrd tsd std jh jhd bhf hbf
    ud uds vd vds uu apr
"""
_EITHER_PAIRS = ("et al",)

_STARTERS = """
    The This That These Those There Then They It He She We You I A An In On At As And But So If When While What Where Who Why How
    Here However Also After Before Now Yes No Not Please Let My Your Our His Her Its For To From With Is Are Was Do Does Did Can Could
    Would Will Should Thanks Sure
    Der Die Ein Eine Einen Er Sie Es Wir Ihr Ich Du Und Aber Wenn Dann Dies Diese Dieser Dieses Im Am Zu Bei Mit Auch Nun Hier Da
    Dort Nach Für
    Il Lo Gli Un Uno Una È Ho Hai Ha Questo Questa Ma Se Quando Non Che Per Con Poi Ora Anche Oggi Domani
    Los Las Unos Unas Es Este Esta Esto Pero Si Sí Cuando Yo Tú Él Ella Ellos En Por Para Luego Ahora También Hoy
    Les Une Des Elle Ils Elles On Nous Vous Je Tu Ce Cet Cette Ces Mais Et Quand Dans Pour Puis Il Oui Non Aussi
    O Os As Um Uma Ele Ela Eu Nós Mas Não Em Isso Isto Depois Agora Hoje Também
"""

SENTENCE_STARTERS = frozenset(_STARTERS.split())
"""Words that, with a capital, open a sentence far more often than they continue a name: no "La", "Le", "Das" (J. Le Carré)."""

_KINDS: dict[str, Abbreviation] = {
    **dict.fromkeys((*_EITHER.split(), *_EITHER_PAIRS), "either"),
    **dict.fromkeys(_NUMBERED.split(), "numbered"),
    **dict.fromkeys((*_TITLE.split(), *_TITLE_PAIRS), "title"),
}


def abbreviation(word: str) -> Abbreviation | None:
    """The kind of abbreviation that `word` (without its last period) is, or None.

    >>> abbreviation("Dott.ssa"), abbreviation("Inc"), abbreviation("RAMESH")
    ('title', 'either', None)
    """
    return _KINDS.get(word) or _KINDS.get(word.lower())
