"""German lines."""

PHRASES = """
guten Morgen, guten Tag, guten Abend, gute Nacht, hallo, tschüss, auf Wiedersehen, bis bald, bis morgen, wie geht es dir?, wie geht es Ihnen?,
mir geht es gut, wie heißt du?, ich heiße Peter, woher kommst du?, willkommen, herzlich willkommen, danke, vielen Dank, bitte schön, gern geschehen,
Entschuldigung, es tut mir leid, kein Problem, ja bitte, nein danke, natürlich, ich liebe dich, ich weiß es nicht, ich verstehe, alles Gute zum Geburtstag,
frohe Weihnachten, viel Glück, gut gemacht, sei vorsichtig, komm herein, setz dich bitte, warte einen Moment, los geht es, beeil dich, hilf mir bitte,
hör mir zu, schau mich an, wie spät ist es?, es ist spät, ich bin müde, ich habe Hunger, ich habe Durst, bist du fertig?, was ist passiert?, wer ist da?,
warum nicht?, das ist wunderbar, das ist schrecklich, was für eine Überraschung!, das glaube ich nicht!, lass mich in Ruhe!, hör auf!, Achtung!,
es war einmal, eins zwei drei vier, das glückliche Pferd ist da, kannst du mich hören?, schönes Wochenende, guten Appetit, Gesundheit
"""

TEMPLATES = """
{the} ist {adjective}; {the} ist {place}; ich sehe {acc}; wo ist {the}?; ich möchte {food}; ich esse gern {food}; magst du {food}?;
meine {female} mag {food}; mein {male} ist {adjective}; meine {female} ist {feeling}; ich kaufe {acc}; gib mir bitte {acc}; hast du {acc}?;
{number} {plural} sind {place}; ich habe {number} {plural}; wir {verb} am {day}; im {month} {verb} wir; wir {verb} gern; heute ist es {weather};
am {day} war es {weather}; {name} wohnt in {city}; {name} und {name} {verb}; hallo {name}; guten Morgen {name}; {name} ist {feeling};
warum bist du so {feeling}?; ich bin {feeling}; {the} {goes}; {the} und {the}; {food} und {food}; {number} und {number}; {color} oder {color}?;
{the} ist {color}; {adjective} und {adjective}; {city} ist {adjective}; öffne bitte {acc}; wer hat {acc} gesehen?; das kostet {number} Euro; ich fahre nach {city}
"""

SLOTS = {
    "the": """der Hund, die Katze, das Pferd, der Vogel, der Fisch, die Maus, der Löwe, der Bär, der Hase, der Fuchs, der Affe, die Ente, das Huhn,
        das Schwein, die Ziege, der Frosch, die Schildkröte, der Schmetterling, das Buch, der Tisch, der Stuhl, die Tür, das Fenster, die Flasche, die Tasse,
        der Löffel, die Tasche, der Hut, der Schuh, das Hemd, die Lampe, die Uhr, der Schlüssel, das Bild, das Auto, das Fahrrad, der Zug, das Flugzeug,
        das Schiff, der Ball, das Haus, die Brücke, der Garten, die Küche, die Straße, der Baum, die Blume, der Berg, die Sonne, der Mond, das Mädchen, der Junge""",
    "acc": """den Hund, die Katze, das Pferd, den Vogel, den Fisch, die Maus, den Bären, den Hasen, den Fuchs, den Affen, die Ente, das Schwein, den Frosch,
        das Buch, den Tisch, den Stuhl, die Tür, das Fenster, die Flasche, die Tasse, den Löffel, die Tasche, den Hut, den Schuh, die Jacke, die Lampe, die Uhr,
        den Schlüssel, das Bild, das Auto, das Fahrrad, den Zug, das Schiff, den Ball, das Haus, den Garten, den Brief, die Zeitung, den Kuchen, die Blume, den Baum,
        die Gitarre, das Geschenk, den Regenschirm, den Bleistift, das Telefon""",
    "plural": """Hunde, Katzen, Pferde, Vögel, Fische, Mäuse, Bären, Äpfel, Bücher, Stühle, Türen, Flaschen, Tassen, Löffel, Hüte, Schuhe, Uhren, Schlüssel,
        Bilder, Autos, Züge, Bälle, Häuser, Bäume, Blumen, Kinder, Freunde, Briefe, Brötchen, Münzen""",
    "adjective": """groß, klein, schön, hässlich, alt, jung, neu, schnell, langsam, laut, leise, stark, schwach, warm, kalt, hell, dunkel, weich, hart, schwer, leicht,
        müde, hungrig, durstig, fleißig, faul, klug, komisch, gefährlich, freundlich, berühmt, sauber, schmutzig, leer, voll, süß, jünger, größer""",
    "color": "rot, orange, gelb, grün, blau, lila, rosa, weiß, schwarz, braun, grau, golden, silbern",
    "food": """Brot, Butter, Käse, Milch, Wasser, Kaffee, Tee, Apfelsaft, Suppe, Reis, Fleisch, Fisch, Äpfel, Orangen, Bananen, Kirschen, Trauben, Kuchen, Kekse, Schokolade, Eis,
        Honig, Zucker, Kartoffeln, Tomaten, Zwiebeln, Eier, Würstchen, Pizza, Nudeln, Salat, Pfannkuchen, Gemüse, Pflaumen""",
    "male": "Vater, Bruder, Sohn, Onkel, Cousin, Freund, Nachbar, Lehrer, Arzt, Chef, Opa, Großvater, Kollege",
    "female": "Mutter, Schwester, Tochter, Tante, Cousine, Freundin, Nachbarin, Lehrerin, Ärztin, Chefin, Oma, Großmutter, Kollegin",
    "name": "Anna, Ben, Clara, David, Emma, Felix, Greta, Hans, Ida, Jonas, Jürgen, Karl, Lena, Lukas, Maria, Max, Nina, Otto, Paul, Rosa, Sophie, Thomas, Uwe, Zoe, Björn, Käthe",
    "city": """Berlin, Hamburg, München, Köln, Frankfurt, Stuttgart, Leipzig, Dresden, Wien, Zürich, Salzburg, Bremen, Bonn, Hannover, Nürnberg, Paris, London, Rom, Tokio, Peking""",
    "verb": """singen, tanzen, schwimmen, laufen, spielen, lesen, schreiben, kochen, essen, schlafen, arbeiten, lernen, springen, lachen, fliegen, reden, malen, reisen, träumen, putzen""",
    "goes": """schläft, läuft weg, springt hoch, singt ein Lied, geht nach Hause, fliegt davon, lacht laut, trinkt Wasser, sucht mich, wartet draußen, versteckt sich, fällt um""",
    "place": """im Haus, im Garten, auf dem Tisch, unter dem Bett, hinter der Tür, am Fluss, in der Schule, dort drüben, am Meer, in der Küche, auf dem Dach, neben mir, draußen, oben, im Wald""",
    "number": "eins, zwei, drei, vier, fünf, sechs, sieben, acht, neun, zehn, elf, zwölf, dreizehn, vierzehn, fünfzehn, zwanzig, dreißig, fünfzig, hundert",
    "day": "Montag, Dienstag, Mittwoch, Donnerstag, Freitag, Samstag, Sonntag, Morgen, Abend, Wochenende",
    "month": "Januar, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, November, Dezember, Winter, Frühling, Sommer, Herbst",
    "weather": "kalt, warm, heiß, regnerisch, sonnig, wolkig, windig, neblig, sehr kalt, ziemlich warm, stürmisch, herrlich, schwül",
    "feeling": "glücklich, traurig, wütend, müde, aufgeregt, nervös, überrascht, einsam, stolz, ruhig, krank, fröhlich, neugierig, böse, zufrieden, eifersüchtig",
}
