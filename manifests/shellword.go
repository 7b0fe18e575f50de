package manifests

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

const writeOut = "write the value out, or use $NAME, ${NAME} or ${NAME:-default}"

// checkWord reports what a value may not contain: whatever would run a command,
// depends on the machine, or is read otherwise by bash than by its reader here.
func checkWord(word *syntax.Word, report func(at syntax.Pos, hint, message string)) {
	if word == nil {
		return
	}
	syntax.Walk(word, func(node syntax.Node) bool {
		switch part := node.(type) {
		case *syntax.CmdSubst:
			report(part.Pos(), writeOut, "command substitution is refused: nothing in this file is run")
			return false
		case *syntax.ProcSubst:
			report(part.Pos(), writeOut, "process substitution is refused: nothing in this file is run")
			return false
		case *syntax.ArithmExp:
			report(part.Pos(), writeOut, "arithmetic is refused")
			return false
		case *syntax.ExtGlob:
			report(part.Pos(), "put the value in quotes", "a pattern stands here")
			return false
		case *syntax.SglQuoted:
			if part.Dollar && !plainEscapes.MatchString(part.Value) {
				report(part.Pos(), `use \\, \', \", \n, \t, \r, \xHH or \uHHHH`, "an escape in $'…' is not known")
			}
		case *syntax.Word:
			if at := tilde(part); at.IsValid() {
				report(at, "write the directory out, or put the ~ in quotes", "~ stands for a home directory, which differs between machines")
			}
		case *syntax.ParamExp:
			if message := refusedParameter(part); message != "" {
				report(part.Pos(), writeOut, message)
				return false
			}
		}
		return true
	})
}

// plainEscapes matches what stands in $'…' when every escape is a known one
// that stands for a character.
var plainEscapes = regexp.MustCompile(`^(?s:[^\\]|\\[abeEfnrtv\\'"?]|\\[1-3][0-7]{0,2}|\\0[1-7][0-7]?|\\00[1-7]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8})*$`)

// refusedParameter says why an expansion is refused, or "".
func refusedParameter(p *syntax.ParamExp) string {
	switch {
	case p.Param == nil || !syntax.ValidName(p.Param.Value):
		return "a special or positional parameter is refused"
	case reserved.MatchString(p.Param.Value):
		return "the variable " + p.Param.Value + " is bash's own and differs from run to run"
	case p.Excl || p.Width || p.IsSet || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Names != 0:
		return "this form of ${…} is refused"
	case p.Exp == nil:
		return ""
	}
	switch p.Exp.Op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull, syntax.DefaultUnset, syntax.DefaultUnsetOrNull,
		syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		return ""
	case syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		if plainPattern(p.Exp.Word) {
			return ""
		}
		return "only a plain pattern is accepted in this form of ${…}"
	default:
		return "this form of ${…} is refused"
	}
}

// plainPattern reports whether a pattern has no quotes, escapes or expansions.
func plainPattern(word *syntax.Word) bool {
	return word == nil || word.Lit() != "" && !strings.ContainsAny(word.Lit(), `\[`)
}

// tilde finds an unquoted ~ where bash puts a home directory in its place.
func tilde(word *syntax.Word) syntax.Pos {
	for i, part := range word.Parts {
		literal, ok := part.(*syntax.Lit)
		if ok && (i == 0 && strings.HasPrefix(literal.Value, "~") || strings.Contains(literal.Value, ":~")) {
			return literal.Pos()
		}
	}
	return syntax.Pos{}
}

// unquotedBraces finds a brace expansion such as {a,b} or {1..3}.
func unquotedBraces(word *syntax.Word) syntax.Pos {
	if word == nil {
		return syntax.Pos{}
	}
	for _, part := range word.Parts {
		literal, ok := part.(*syntax.Lit)
		if ok && strings.Contains(literal.Value, "{") {
			return literal.Pos()
		}
	}
	return syntax.Pos{}
}
