// Package terminal takes lines of text, with colours, and gives what fits the columns and the
// rows of a terminal. It restores a terminal that it has changed, whatever ends the program.
package terminal

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

const reset = "\x1b[0m"

// cell is a character with its colour; "" is the terminal's own.
type cell struct {
	char   rune
	colour string
}

// columns gives how many columns a character takes.
func columns(char rune) int {
	switch kind := width.LookupRune(char).Kind(); {
	case unicode.In(char, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cells reads a line. Colour codes are the only controls that it knows.
func cells(line string) []cell {
	all, colour := make([]cell, 0, len(line)), ""
	for len(line) > 0 {
		if end := strings.IndexByte(line, 'm'); end > 0 && strings.HasPrefix(line, "\x1b[") {
			if colour = line[:end+1]; colour == reset {
				colour = ""
			}
			line = line[end+1:]
			continue
		}
		char, size := utf8.DecodeRuneInString(line)
		all, line = append(all, cell{char, colour}), line[size:]
	}
	return all
}

// text writes characters in their colours.
func text(all []cell) string {
	var out strings.Builder
	colour := ""
	for _, one := range all {
		if one.colour != colour {
			if colour != "" {
				out.WriteString(reset)
			}
			colour = one.colour
			out.WriteString(colour)
		}
		out.WriteRune(one.char)
	}
	if colour != "" {
		out.WriteString(reset)
	}
	return out.String()
}

func widthOf(all []cell) (sum int) {
	for _, one := range all {
		sum += columns(one.char)
	}
	return sum
}

// Width gives how many columns a line takes. Colours take none.
func Width(line string) int { return widthOf(cells(line)) }

// Cut shortens a line to a number of columns. Its end is left out.
func Cut(line string, most int) string {
	all := cells(line)
	if widthOf(all) <= most {
		return line
	}
	used := 1 // of the ellipsis
	for i, one := range all {
		if used += columns(one.char); used > most {
			return text(append(all[:i:i], cell{'…', colourAt(all, i)}))
		}
	}
	return line
}

// CutStart shortens a line to a number of columns. Its start is left out.
func CutStart(line string, most int) string {
	all := cells(line)
	if widthOf(all) <= most {
		return line
	}
	used := 1
	for i, one := range slices.Backward(all) {
		if used += columns(one.char); used > most {
			return text(append([]cell{{'…', one.colour}}, all[i+1:]...))
		}
	}
	return line
}

func colourAt(all []cell, i int) string {
	if i == 0 {
		return all[0].colour
	}
	return all[i-1].colour
}

// Wrap breaks a line into lines of at most a number of columns, between words where it can. What
// follows the first line is indented to where the text of the line begins.
func Wrap(line string, most int) []string {
	all := cells(line)
	if most < 1 || widthOf(all) <= most {
		return []string{line}
	}
	indent := indentOf(all, most)
	var lines []string
	for first := true; len(all) > 0; first = false {
		room, before := most, []cell(nil)
		if !first {
			room -= indent
			for range indent {
				before = append(before, cell{char: ' '})
			}
		}
		end := breakAt(all, room, first, indent)
		lines = append(lines, text(append(before, trimRight(all[:end])...)))
		for all = all[end:]; len(all) > 0 && all[0].char == ' '; {
			all = all[1:]
		}
	}
	return lines
}

// breakAt gives where a line of the room's columns ends: at its last blank, or in a word that is
// longer than the line. A command between backquotes stays whole if the next line has room for it,
// so that a user can copy it.
func breakAt(all []cell, room int, first bool, indent int) int {
	used, blank, outside, part, least, next := 0, 0, 0, 0, 0, room
	if first {
		least, next = indent, room-indent
	}
	quoted := false
	for i, one := range all {
		switch {
		case one.char == '`':
			quoted = !quoted
		case one.char == ' ' && i > least:
			if blank = i; !quoted {
				outside = i
			}
		}
		if i > 0 && i > least && all[i-1].char == '/' {
			part = i // a path that is too long for a line is broken after a slash
		}
		if used += columns(one.char); used > room {
			switch {
			case outside > 0 && outside < blank && widthOf(word(all[outside+1:])) <= next:
				return outside
			case blank > 0:
				return blank
			case part > 0:
				return part
			}
			return max(i, 1)
		}
	}
	return len(all)
}

// word gives the first word, which a command between backquotes is as a whole.
func word(all []cell) []cell {
	quoted := false
	for i, one := range all {
		switch {
		case one.char == '`':
			quoted = !quoted
		case one.char == ' ' && !quoted:
			return all[:i]
		}
	}
	return all
}

// indentOf gives the column at which the text of a line begins: after its last gap near the
// start, such as that between a label and its text.
func indentOf(all []cell, most int) int {
	near := min(20, most/3)
	indent, blanks := 0, 0
	for i, one := range all {
		if one.char == ' ' {
			blanks++
			continue
		}
		switch {
		case blanks == i && i > 0:
			indent = i + 2
		case blanks >= 2 && i-blanks < near:
			indent = i
		}
		blanks = 0
		if i >= near+10 {
			break
		}
	}
	if indent == 0 {
		indent = 2
	}
	return min(indent, most/2)
}

func trimRight(all []cell) []cell {
	for len(all) > 0 && all[len(all)-1].char == ' ' {
		all = all[:len(all)-1]
	}
	return slices.Clip(all)
}
