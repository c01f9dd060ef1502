"""Frequent given names of several languages, by which a column of persons' names is known."""

import re

_TEXT = """
    aaron abdul abdullah abigail adam adrian agnes ahmed aisha alan albert alejandro alex alexander alexandra
    alexei ali alice alicia alison amanda amber amelia amina amir amit amy ana andrea andreas andrew angela anita
    anja ann anna anne annika anthony antonio anya arjun arthur ashley astrid barbara beatriz ben benjamin bernd
    bettina betty beverly bianca birgit bjorn bob bogdan boris brandon brenda brian bruce bruno camila carl carla
    carlos carmen carol caroline catherine cecilia chang charles charlotte chen cheryl chloe chris christian
    christina christine christopher claire clara claudia claus clemens cristina cynthia dan daniel daniela
    danielle david deborah deepak denise dennis diana diane diego dieter dimitri dirk dmitri dominik donald donna
    dorothy douglas edith eduardo edward elena elias elisa elisabeth elizabeth ella ellen emil emily emma emmanuel
    enrique eric erik erika ernst esther ethan eva evelyn fabian fatima felix fernando fiona florian frances
    francesca francesco francisco frank franz frederik fritz gabriel gabriela gary georg george gerald gerhard
    giovanni giulia gloria grace gregory greta guillaume gustav hannah hans harold harriet harry hassan heather
    heidi heike helen helena helga henrik henry hiroshi holger hugo ibrahim igor ines ingrid irene irina isaac
    isabel isabella ivan jack jacob jacqueline jaime james jan jana jane janet janice jasmin jason javier jean
    jeff jeffrey jennifer jens jeremy jerry jessica jim joan joao joe johan johanna johannes john jonas jonathan
    jorge jose josef joseph joshua juan juana judith judy julia julian julie jun jurgen justin karen karin karl
    karolina kate katharina katherine kathleen kathrin katja kazuko keith kelly ken kenji kenneth kevin khaled kim
    klaus kofi krishna kristin kumar kyle lars laura lauren lea lei lena leo leon leonardo leonie li lily linda
    lisa liu lorenzo louis louise luca lucas lucia lucy luis luisa lukas luke madison magdalena manfred manuel
    marco marcus margaret maria marie marina mario marion mark markus marta martha martin martina mary mateo
    mathias matthew matthias maurice max mehmet mei melanie melissa mia michael michel michelle miguel mikhail min
    mohamed mohammad mohammed monica monika muhammad mustafa nadia nadine nancy natalia natalie natasha nathan
    nicholas nicole niklas nikolai nina noah nora oksana olaf oleg olga oliver olivia omar oscar otto pablo pamela
    patricia patrick paul paula paulo pedro peter petra philip philipp philippe pierre priya rachel rafael rahul
    raj ralf ralph ramon raymond rebecca regina renate ricardo richard robert roberto robin roger roland ronald
    rosa rosemary roy rudolf ruth ryan sabine salma samantha samuel sandra sanjay sara sarah satoshi scott sean
    sebastian sergei sergio sharon shirley silke silvia simon simone sofia sonja sophia sophie stefan stefanie
    stephan stephanie stephen steve steven sunita susan susanne sven svetlana sylvia takashi tanja tatiana teresa
    theo theresa thomas tim timothy tobias tom tomas tyler ulrich ulrike ursula uwe valentina vanessa vera victor
    victoria viktor vincent virginia vladimir walter wanda wayne wei werner william wolfgang xavier xin yan yasmin
    yi yoko yuki yusuf yvonne zhang zoe
"""

GIVEN_NAMES = frozenset(re.findall(r"\w+", _TEXT))
"""Given names in lower case."""
