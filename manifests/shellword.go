package manifests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"coin.internal/coin-agent/internal/fault"
)

// longestValue is the limit of Linux for one variable of a process. It also limits a
// file in which each line doubles a value.
const longestValue = 128 << 10

// The limits of a value and a pattern that are compared letter by letter.
const (
	longestTrimmed = 4 << 10
	longestPattern = 100
)

const writeOut = "write the value out, or use $NAME, ${NAME} or ${NAME:-default}"

// checkWord refuses everything in a value that runs a command or depends on the
// machine, even in a part that is not evaluated.
func (r *shellReader) checkWord(word *syntax.Word) {
	refuse := func(at syntax.Pos, hint, message string) bool {
		r.faults.add(r.position(at), hint, "%s", message)
		return false
	}
	syntax.Walk(word, func(node syntax.Node) bool {
		switch part := node.(type) {
		case *syntax.CmdSubst:
			return refuse(part.Pos(), writeOut, "command substitution is not allowed: this file is not run")
		case *syntax.ProcSubst:
			return refuse(part.Pos(), writeOut, "process substitution is not allowed: this file is not run")
		case *syntax.ArithmExp:
			return refuse(part.Pos(), writeOut, "arithmetic is not allowed")
		case *syntax.ExtGlob:
			return refuse(part.Pos(), "put the value in quotes", "a pattern is not allowed here")
		case *syntax.ParamExp:
			if message := refusedParameter(part); message != "" {
				return refuse(part.Pos(), writeOut, message)
			}
		case *syntax.Word:
			if at := tilde(part); at.IsValid() {
				return refuse(at, "write the full path, or put the ~ in quotes", "~ means a home directory, which differs between machines")
			}
		}
		return true
	})
}

// refusedParameter returns why an expansion is refused, or "".
func refusedParameter(p *syntax.ParamExp) string {
	switch {
	case p.Param == nil || !syntax.ValidName(p.Param.Value):
		return "special and positional parameters are not allowed"
	case reserved.MatchString(p.Param.Value):
		return "the variable " + p.Param.Value + " is reserved by bash"
	case p.Excl || p.Length || p.Width || p.IsSet || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Names != 0:
		return "this form of ${…} is not allowed"
	case p.Exp == nil:
		return ""
	}
	switch operator, pattern := p.Exp.Op.String(), p.Exp.Word; {
	case slices.Contains([]string{"-", ":-", "+", ":+", "?", ":?"}, operator):
		return ""
	case !slices.Contains([]string{"#", "##", "%", "%%"}, operator):
		return "this form of ${…} is not allowed"
	case pattern != nil && (pattern.Lit() == "" || len(pattern.Lit()) > longestPattern || strings.ContainsAny(pattern.Lit(), `\[`)):
		return "only a short pattern of letters, * and ? is allowed in ${…}"
	}
	return ""
}

// tilde finds an unquoted ~ that bash replaces by a home directory.
func tilde(word *syntax.Word) syntax.Pos {
	for i, part := range word.Parts {
		literal, ok := part.(*syntax.Lit)
		if ok && (i == 0 && strings.HasPrefix(literal.Value, "~") || strings.Contains(literal.Value, ":~")) {
			return literal.Pos()
		}
	}
	return syntax.Pos{}
}

// unquotedBrace finds a possible brace expansion, such as {a,b} or {1..3}.
func unquotedBrace(word *syntax.Word) syntax.Pos {
	if word != nil {
		for _, part := range word.Parts {
			if literal, ok := part.(*syntax.Lit); ok && strings.Contains(literal.Value, "{") {
				return literal.Pos()
			}
		}
	}
	return syntax.Pos{}
}

// value returns the value of a word that checkWord accepts, as bash would assign it.
func (r *shellReader) value(word *syntax.Word, quoted bool) string {
	if word == nil {
		return ""
	}
	return r.parts(word.Parts, quoted)
}

func (r *shellReader) parts(parts []syntax.WordPart, quoted bool) string {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(part.Value, quoted))
		case *syntax.SglQuoted:
			b.WriteString(r.singleQuoted(part, quoted))
		case *syntax.DblQuoted:
			b.WriteString(r.parts(part.Parts, true))
		case *syntax.ParamExp:
			b.WriteString(r.parameter(part, quoted))
		}
		if b.Len() > longestValue {
			r.faults.add(r.position(part.Pos()), "write a shorter value", "the value is longer than %d bytes", longestValue)
			return ""
		}
	}
	return b.String()
}

// unescape removes backslashes that quote. In double quotes they quote only some
// characters.
func unescape(text string, quoted bool) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) || quoted && !strings.ContainsRune("$`\"\\\n}", rune(text[i+1])) {
			b.WriteByte(text[i])
			continue
		}
		if i++; text[i] != '\n' {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// bashEscapes writes the escapes of $'…' that Go does not have as Go writes them.
var bashEscapes = strings.NewReplacer(`\\`, `\\`, `\'`, `'`, `\"`, `"`, `\?`, `?`, `\e`, `\x1b`, `\E`, `\x1b`)

func (r *shellReader) singleQuoted(q *syntax.SglQuoted, quoted bool) string {
	if quoted {
		r.faults.add(r.position(q.Pos()), "remove the single quotes within \"${…}\"", "single quotes have no effect here")
		return ""
	}
	if !q.Dollar {
		return q.Value
	}
	var b []byte
	for rest := bashEscapes.Replace(q.Value); rest != ""; {
		value, multibyte, after, err := strconv.UnquoteChar(rest, 0)
		if err != nil || value == 0 {
			r.faults.add(r.position(q.Pos()), `use \\, \', \", \n, \t, \r, \e, \xHH or \uHHHH`, "$'…' has an unknown escape")
			return ""
		}
		if value < utf8.RuneSelf || multibyte {
			b = utf8.AppendRune(b, value)
		} else {
			b = append(b, byte(value))
		}
		rest = after
	}
	return string(b)
}

func (r *shellReader) parameter(p *syntax.ParamExp, quoted bool) string {
	value, set := r.lookup(p.Param.Value)
	operator, argument := "", func() string { return "" }
	if p.Exp != nil {
		operator = p.Exp.Op.String()
		argument = func() string { return r.value(p.Exp.Word, quoted) }
	}
	operator, orEmpty := strings.CutPrefix(operator, ":")
	if orEmpty {
		set = set && value != ""
	}
	switch {
	case operator == "+" && set, operator == "-" && !set:
		return argument()
	case operator == "+":
		return ""
	case !set:
		r.unset(p, operator == "?")
		return ""
	case operator == "", operator == "-", operator == "?":
		return value
	case len(value) > longestTrimmed:
		r.faults.add(r.position(p.Pos()), "write the value out", "the value of %s is too long to cut", p.Param.Value)
		return ""
	}
	return trim(value, operator, argument())
}

// unset reports a variable that is used but not set. It omits the message of
// ${NAME:?message}, because faults do not quote the file.
func (r *shellReader) unset(p *syntax.ParamExp, demanded bool) {
	name, place := p.Param.Value, r.position(p.Pos())
	if demanded {
		r.faults.add(place, "set "+name+" in an earlier line", "the variable %s must be set here", name)
		return
	}
	hint := fmt.Sprintf("set %s in an earlier line, or write ${%s:-} if it may be empty", name, name)
	if r.lenient {
		if len(r.warnings) == maxFaults {
			return
		}
		r.warnings = append(r.warnings, fault.New(place, hint, "the variable %s is not set: it is treated as empty", name))
		return
	}
	r.faults.add(place, hint, "the variable %s is not set", name)
}

// trim removes the shortest or longest prefix or suffix that matches a pattern of
// letters, * and ?.
func trim(value, operator, pattern string) string {
	text, globs := []rune(value), []rune(pattern)
	atEnd := strings.HasPrefix(operator, "%")
	if atEnd {
		slices.Reverse(text)
		slices.Reverse(globs)
	}
	text = text[matching(text, globs, len(operator) == 2):]
	if atEnd {
		slices.Reverse(text)
	}
	return string(text)
}

// matching gives the length of the shortest or longest prefix of a text that matches a pattern; 0
// if none does. It takes a step for each character of the text and of the pattern: a pattern
// with many stars would keep an expression that is tried at each position at work for hours.
func matching(text, pattern []rune, longest bool) (length int) {
	ends := make([]bool, len(pattern)+1) // whether this much of the pattern matches the text so far
	ends[0] = true
	for i, one := range pattern {
		ends[i+1] = ends[i] && one == '*'
	}
	for n, letter := range text {
		if ends[len(pattern)] {
			if length = n; !longest {
				return length
			}
		}
		before := ends[0]
		ends[0] = false
		for i, one := range pattern {
			was := ends[i+1]
			if one == '*' {
				ends[i+1] = ends[i] || was
			} else {
				ends[i+1] = before && (one == '?' || one == letter)
			}
			before = was
		}
	}
	if ends[len(pattern)] {
		length = len(text)
	}
	return length
}
