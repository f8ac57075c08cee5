"""English lines."""

PHRASES = """
good morning, good evening, good night, good afternoon, hello, hello there, hi there, goodbye, bye bye, see you soon, see you tomorrow,
how are you?, how do you do?, i am fine, nice to meet you, what is your name?, where are you from?, welcome, welcome home, thank you,
thank you very much, you are welcome, please, excuse me, i am sorry, never mind, no problem, yes please, no thank you, of course,
i love you, i miss you, i like it, i do not know, i understand, happy birthday, happy new year, merry christmas, good luck,
well done, be careful, come in please, sit down please, wait a moment, let us go, hurry up, follow me, help me please, listen to me,
look at me, what time is it?, it is late, i am tired, i am hungry, i am thirsty, are you ready?, what happened?, who is there?,
why not?, that is wonderful, that is terrible, what a surprise!, i cannot believe it!, leave me alone!, stop that!, watch out!,
the happy horse is here, once upon a time, one two three four, welcome to the show, this is a test, can you hear me?
"""

TEMPLATES = """
the {adjective} {animal} {goes}; the {animal} is {place}; the {animal} {does} the {thing}; i see a {adjective} {animal};
my {person} has a {adjective} {thing}; my {person} likes {food}; i want some {food} please; do you like {food}?;
where is my {thing}?; the {thing} is {place}; the {thing} is {color}; put the {thing} {place}; i bought a {color} {thing};
{number} {animal}s are {place}; i have {number} {thing}s; we {verb} every {day}; on {day} we {verb}; let us {verb} together;
can you {verb} with me?; i will {verb} in {month}; it is {weather} today; it was {weather} on {day}; {name} lives in {city};
{name} and {name} {verb}; hello {name}; good morning {name}; {name} is {feeling} today; why are you so {feeling}?; i feel {feeling};
the {color} {animal} {does} my {food}; give me {number} {thing}s; there is a {animal} {place}; what a {adjective} {animal}!;
{adjective} and {adjective}; {food} and {food}; {thing} and {thing}; {number} plus {number}; {color} or {color}?; {animal} {animal} {animal};
please open the {thing}; who took my {thing}?; the {person} said {feeling} words; {city} is {adjective}; never {verb} in {city}; this {thing} costs {number} dollars
"""

SLOTS = {
    "animal": """cat, dog, horse, bird, fish, mouse, tiger, lion, bear, rabbit, fox, wolf, monkey, zebra, giraffe, elephant, duck, chicken,
        pig, goat, frog, turtle, spider, butterfly, penguin, whale, shark, owl, pony, camel, parrot, squirrel, dragon, kitten, puppy""",
    "adjective": """big, small, happy, angry, quiet, loud, young, old, brave, clever, lazy, quick, slow, beautiful, strange, funny,
        soft, heavy, bright, dark, thirsty, hungry, gentle, wild, shiny, fluffy, dirty, clean, huge, tiny, famous, foolish, royal, purple""",
    "color": "red, orange, yellow, green, blue, purple, pink, white, black, brown, gray, golden, silver",
    "thing": """book, table, chair, door, window, bottle, cup, spoon, bag, box, hat, shoe, shirt, coat, phone, lamp, clock, key, pencil,
        picture, mirror, guitar, violin, piano, drum, bicycle, car, boat, train, plane, umbrella, ball, balloon, pillow, blanket, basket,
        bridge, garden, kitchen, letter, watch, treasure, jacket, hammer, candle, toy, computer, machine, measure, vase, bathtub""",
    "food": """bread, butter, cheese, milk, water, coffee, tea, juice, soup, rice, chicken, fish, apples, oranges, bananas, cherries, grapes,
        cake, cookies, chocolate, ice cream, honey, sugar, pepper, potatoes, tomatoes, onions, eggs, sausages, pizza, noodles, salad, mushrooms""",
    "person": """mother, father, sister, brother, daughter, son, uncle, aunt, cousin, friend, neighbor, teacher, doctor, boss, nurse,
        grandmother, grandfather, boy, girl, baby, farmer, judge, pilot, driver, singer""",
    "name": """Anna, Bob, Charlie, David, Emma, Frank, George, Helen, Jack, Julia, Kate, Lucy, Mary, Nick, Olivia, Paul, Peter, Rose, Sam, Tom,
        Victor, William, Zoe, Joy, Theo, Beth, Jasmine, Vivian, Hugo, Oscar""",
    "city": """London, Paris, Berlin, Tokyo, Boston, Chicago, Rome, Vienna, Dublin, Moscow, Beijing, Seoul, Sydney, Oxford, Bath, Geneva,
        Hong Kong, Texas, Georgia, Norway, Egypt, China""",
    "verb": """sing, dance, swim, run, walk, play, read, write, cook, eat, sleep, work, study, jump, laugh, drive, fly, talk, paint, travel,
        fish, climb, dream, shop, think, watch movies, play football, wash the dishes, bake bread, go home""",
    "goes": """runs away, jumps high, sleeps well, sings a song, is hungry, goes home, flies away, barks loudly, walks slowly, hides,
        laughs, drinks water, looks at me, swims fast, waits outside, breathes""",
    "does": "sees, likes, wants, takes, finds, loves, hates, breaks, watches, smells, touches, eats, pushes, catches, hides, throws",
    "place": """in the house, in the garden, on the table, under the bed, behind the door, near the river, at school, over there, by the sea,
        in the kitchen, on the roof, next to me, outside, upstairs, in the forest, at the beach, on the chair, in my bag""",
    "number": """one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen, sixteen, twenty,
        thirty, forty, fifty, one hundred""",
    "day": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, morning, evening, weekend",
    "month": """January, February, March, April, May, June, July, August, September, October, November, December, winter, spring, summer, autumn""",
    "weather": "cold, warm, hot, rainy, sunny, cloudy, windy, snowy, foggy, very cold, quite warm, stormy, freezing, lovely",
    "feeling": "happy, sad, angry, tired, sleepy, excited, nervous, surprised, lonely, proud, calm, worried, sick, cheerful, jealous, curious",
}
