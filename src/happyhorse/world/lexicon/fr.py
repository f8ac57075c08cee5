"""French lines."""

PHRASES = """
bonjour, bonsoir, bonne nuit, bon après-midi, salut, au revoir, à bientôt, à demain, comment ça va?, comment allez-vous?, ça va bien, je vais bien,
comment tu t'appelles?, je m'appelle Pierre, d'où viens-tu?, bienvenue, merci, merci beaucoup, de rien, s'il vous plaît, excusez-moi, je suis désolé,
pas de problème, oui bien sûr, non merci, je t'aime, tu me manques, je ne sais pas, je comprends, joyeux anniversaire, bonne année, joyeux Noël, bonne chance,
bravo, attention!, entrez s'il vous plaît, asseyez-vous, attends un moment, allons-y, dépêche-toi, suivez-moi, aidez-moi, écoute-moi, regarde-moi,
quelle heure est-il?, il est tard, je suis fatigué, j'ai faim, j'ai soif, tu es prêt?, qu'est-ce qui se passe?, qui est là?, pourquoi pas?, c'est merveilleux,
c'est terrible, quelle surprise!, je n'y crois pas!, laisse-moi tranquille!, arrête!, il était une fois, un deux trois quatre, le cheval heureux est là, tu m'entends?, bon appétit, bonnes vacances
"""

TEMPLATES = """
{the} est {place}; je vois {a}; où est {the}?; je voudrais {some}; j'aime {some}; tu veux {some}?; ma {female} mange {some}; mon {male} est {he}; ma {female} est {she};
j'achète {a}; donne-moi {a}; tu as {a}?; il y a {number} {plural} {place}; j'ai {number} {plural}; nous {verb} le {day}; en {month} nous {verb}; nous {verb} ensemble;
aujourd'hui il fait {weather}; {day} il fait {weather}; {name} habite à {city}; {name} et {name}; bonjour {name}; salut {name}; pourquoi es-tu si {he}?; je suis {he};
{the} {goes}; {the} et {the}; {number} et {number}; {color} ou {color}?; ma couleur préférée est le {color}; ouvre {the}; qui a pris {the}?; ça coûte {number} euros; je vais à {city};
{a} et {a}; {place} il y a {a}; {he} et {he}; le {male} de {name} {goes}
"""

SLOTS = {
    "the": """le chien, le chat, le cheval, l'oiseau, le poisson, la souris, le tigre, le lion, l'ours, le lapin, le renard, le loup, le singe, la girafe, l'éléphant, le canard, la poule,
        le cochon, la chèvre, la grenouille, la tortue, le papillon, le livre, la table, la chaise, la porte, la fenêtre, la bouteille, la tasse, la cuillère, le sac, le chapeau, la chaussure,
        la chemise, la lampe, la montre, la clé, le tableau, la voiture, le vélo, le train, l'avion, le bateau, le ballon, la maison, le pont, le jardin, la cuisine, la rue, l'arbre, la fleur, la lune, le soleil""",
    "a": """un chien noir, un chat gris, un cheval blanc, un oiseau bleu, un poisson rouge, une souris blanche, un grand lion, un petit ours, un lapin brun, un renard roux, un vieux singe, une vache,
        un livre, une table ronde, une chaise, une porte verte, une bouteille vide, une tasse bleue, un chapeau, une chemise jaune, une lampe, une montre, une clé, un tableau, une voiture rouge,
        un vélo, un bateau, un ballon, un jardin, un arbre, une fleur, un parapluie, une guitare, un cadeau, un crayon, un gâteau, une pomme, un agneau, une montagne, un magnifique château""",
    "plural": """chiens, chats, chevaux, oiseaux, poissons, livres, tables, chaises, portes, bouteilles, tasses, chapeaux, montres, clés, voitures, bateaux, ballons, maisons, arbres, fleurs, enfants, amis,
        lettres, pommes, cerises, œufs, jouets, nuages""",
    "he": """grand, petit, beau, vieux, jeune, rapide, lent, fort, faible, chaud, froid, doux, dur, lourd, léger, fatigué, content, triste, fâché, surpris, seul, fier, calme, malade, joyeux, curieux,
        gentil, méchant, drôle, heureux, sage, bruyant, inquiet""",
    "she": """grande, petite, belle, vieille, jeune, rapide, lente, forte, douce, fatiguée, contente, triste, fâchée, surprise, seule, fière, calme, malade, joyeuse, curieuse, gentille, drôle, heureuse, sage""",
    "color": "rouge, orange, jaune, vert, bleu, violet, rose, blanc, noir, brun, gris, doré",
    "some": """du pain, du beurre, du fromage, du lait, de l'eau, du café, du thé, du jus d'orange, de la soupe, du riz, de la viande, du poisson, des pommes, des oranges, des bananes, des cerises, du raisin,
        du gâteau, du chocolat, de la glace, du miel, du sucre, des champignons, des tomates, des oignons, des œufs, de la pizza, des nouilles, de la salade, de la confiture""",
    "male": "père, frère, fils, oncle, cousin, ami, voisin, professeur, médecin, chef, grand-père, collègue",
    "female": "mère, sœur, fille, tante, cousine, copine, voisine, grand-mère, collègue, famille, patronne",
    "name": "Anne, Benoît, Claire, David, Émilie, François, Gabriel, Hélène, Isabelle, Jean, Julie, Louis, Lucie, Marie, Nicolas, Olivier, Paul, Pierre, Rose, Sophie, Thomas, Victor, Zoé, Agnès, Guillaume",
    "city": "Paris, Lyon, Marseille, Bordeaux, Lille, Nantes, Nice, Strasbourg, Toulouse, Genève, Bruxelles, Montréal, Londres, Berlin, Rome, Tokyo, Pékin, Avignon, Cannes, Dijon",
    "verb": """chantons, dansons, nageons, courons, marchons, jouons, lisons, écrivons, mangeons, dormons, travaillons, étudions, sautons, rions, parlons, voyageons, rêvons, cuisinons, peignons""",
    "goes": "dort, court vite, saute haut, chante une chanson, rentre à la maison, s'envole, rit beaucoup, boit de l'eau, me regarde, attend dehors, se cache, tombe",
    "place": """dans la maison, dans le jardin, sur la table, sous le lit, derrière la porte, près de la rivière, à l'école, là-bas, au bord de la mer, dans la cuisine, sur le toit, à côté de moi, dehors, en haut, dans la forêt""",
    "number": "deux, trois, quatre, cinq, six, sept, huit, neuf, dix, onze, douze, treize, quinze, vingt, trente, cent",
    "day": "lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche, matin, soir",
    "month": "janvier, février, mars, avril, mai, juin, juillet, août, septembre, octobre, novembre, décembre, hiver, été, automne",
    "weather": "froid, chaud, beau, mauvais, gris, très froid, assez chaud, doux, sombre, trop chaud",
}
