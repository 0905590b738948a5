// Made-up texts for the example buttons. The emoji stand before the evidence on purpose: they shift UTF-16 offsets.

export const EXAMPLES = {
  harvest: `🍓🍓 STRAWBERRY HARVEST – start this week! 🚐
Pickers wanted for the whole season, no experience needed, very good money.
We arrange the bus, the room and the food. Passports are kept at the office until the season ends.
The cost of the trip and the room is taken from your first three months of wages.
Do not tell the other agency that you are coming. Write to Marek only, he speaks for everyone.`,

  keuken: `Keukenhulp gezocht 🍜 restaurant in het centrum, direct beginnen.
Je slaapt boven de zaak. Je paspoort blijft bij de baas tot je de reiskosten (€ 2.800) hebt terugbetaald.
Vrije dagen zijn er pas als de schuld weg is. Bel niet, stuur een bericht.`,

  ordinary: `Kitchen assistant, 24 hours a week 🥕
Restaurant De Linde, Molenstraat 12, is looking for a kitchen assistant. € 14,40 an hour, contract under the collective
agreement for hospitality, paid into your own account on the 25th. Weekends off in turn, schedule four weeks ahead.
You keep your own documents; we only look at your ID on the first day, as the law asks.
Apply with Anna at the restaurant or through our website.`,
};
