package deploy

import (
	"net/url"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// Hidden replaces a value that is not shown.
const Hidden = "***"

// longest is how many bytes of one value a change shows.
const longest = 300

// between separates the elements of a list while it is searched for secrets.
const between = "\x00"

// What looks secret in a text for people is masked, if in doubt as well: a plan then shows
// that a value differs, but not how.
var (
	// secretName matches the name of a setting whose value is a secret.
	secretName = lazyregexp.New(`(?i)(password|passwd|passphrase|pwd|secret|token|credential|bearer|cookie|htpasswd|basicauth|digestauth|` +
		`api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|authorization|(^|[_.\-])(keys?|pass|auth|salt|dsn|jwt|pin)$)`)
	// settingStart matches a name and the separator before its value.
	settingStart = lazyregexp.New(`(--?)?([A-Za-z0-9_][A-Za-z0-9_.\-]*)(\\*["']?\s*[=:]\s*|[\s\x00]+)`)
	// urlLogin matches the password in a URL, and userPassword that after a user's name.
	urlLogin     = lazyregexp.New(`://[^\s/:@"']*:([^\s/"']+)@`)
	userPassword = lazyregexp.New(`^[\w.@+\-]+:([^\s/]\S*)$`)
	// pathName matches the name of a setting whose value is a path.
	pathName = lazyregexp.New(`(?i)_(file|path|dir)$`)
	// secretShapes are the forms of texts that are secret under any name.
	secretShapes = []shape{
		{lazyregexp.New(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY.*?(-----END [A-Z ]*-----|$)`), Hidden},
		{lazyregexp.New(`([a-zA-Z][a-zA-Z0-9+.\-]*://[^\s\x00/:@]*:)[^\s\x00]+@`), "${1}" + Hidden + "@"},
		{lazyregexp.New(`(https?://)[^\s\x00/:@]+@`), "${1}" + Hidden + "@"},
		{lazyregexp.New(`\$+(apr1|2[abxy]?|5|6|y|argon2\w*)\$[^\s\x00,"']+|\{SHA\}[^\s\x00,"']+`), Hidden},
		{lazyregexp.New(`\beyJ[\w\-]+\.[\w\-]+\.[\w\-]*|\b(glpat-|gh[pousr]_|github_pat_|xox[a-z]-|AKIA|AGE-SECRET-KEY-)[\w\-]+`), Hidden},
		{lazyregexp.New(`((?:^|[\s\x00])(?:-u|--user)[\s\x00=]+[^\s\x00:]+:)[^\s\x00"']+`), "${1}" + Hidden},
		{lazyregexp.New(`((?:mysql|mariadb)[^\s\x00]*(?:[\s\x00]+[^\s\x00]+)*?[\s\x00]+-p)[^\s\x00"']+`), "${1}" + Hidden},
	}
)

// shape is the form of a secret, and the text that replaces it.
type shape struct {
	pattern lazyregexp.Regexp
	shown   string
}

// masked renders one side of a change: masked as a whole if the setting's name looks
// secret, else with the secrets in it masked, and cut if it is long.
func masked(path, text string) string {
	if text == "" || isImage(path) {
		return text
	}
	if hides(settingName(path), text) {
		return Hidden
	}
	return cut(clean(text))
}

// maskedList masks what looks secret in the elements of a list such as a command.
func maskedList(elements []string) []string {
	return strings.Split(clean(strings.Join(elements, between)), between)
}

func cut(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}

// isImage tells whether a path is that of an image reference, which holds no secret.
func isImage(path string) bool {
	return strings.HasSuffix(path, ".Image") || path == "Labels["+compose.LabelImage+"]"
}

// settingName gives the name of the setting at the end of a path. It gives "" for the
// keys of references (a secret's file, a mount's target): their values are names, not
// settings.
func settingName(path string) string {
	for _, list := range []string{"Labels[", "TaskTemplate.ContainerSpec.Labels[", "TaskTemplate.ContainerSpec.Env["} {
		if name, ok := strings.CutPrefix(path, list); ok {
			return strings.TrimSuffix(name, "]") // the name of a label may contain brackets
		}
	}
	open := strings.LastIndexByte(path, '[')
	if open < 0 || !strings.HasSuffix(path, "]") {
		return ""
	}
	for _, references := range []string{"Secrets", "Configs", "Mounts", "Networks", "Ports", "Constraints"} {
		if strings.HasSuffix(path[:open], references) {
			return ""
		}
	}
	return path[open+1 : len(path)-1]
}

// hides tells whether the value of a setting must be masked, judging by its name.
func hides(name, value string) bool {
	isPath := pathName().MatchString(name) && strings.HasPrefix(value, "/")
	return !isPath && secretName().MatchString(name)
}

// clean masks what looks secret in a text: by its own form, or as the value of a name or
// flag that looks secret.
func clean(text string) string {
	for _, one := range secretShapes {
		text = one.pattern().ReplaceAllString(text, one.shown)
	}
	var b strings.Builder
	shown := 0
	for _, value := range secretValues(text) {
		b.WriteString(text[shown:value[0]])
		b.WriteString(Hidden)
		shown = value[1]
	}
	b.WriteString(text[shown:])
	return b.String()
}

// secretValues gives where the values of names and flags that look secret begin and end in a text.
func secretValues(text string) (all [][2]int) {
	for from := 0; ; {
		at := settingStart().FindStringSubmatchIndex(text[from:])
		if at == nil {
			return all
		}
		begin, value := from+at[0], from+at[1]
		found := setting{
			flag: at[2] >= 0, name: text[from+at[4] : from+at[5]], separator: text[from+at[6] : from+at[7]], rest: text[value:],
			first: begin == 0 || strings.HasSuffix(text[:begin], between),
		}
		if !found.isSecret() {
			from += at[5]
			continue
		}
		from = value + found.valueLength()
		all = append(all, [2]int{value, from})
	}
}

// secretParts gives what programs may print alone of a secret that has settings, a URL, or a user
// and a password: the values of names that look secret, and passwords.
func secretParts(secret string) (parts []string) {
	for _, value := range secretValues(secret) {
		parts = append(parts, strings.Trim(secret[value[0]:value[1]], `"', `))
	}
	for _, found := range urlLogin().FindAllStringSubmatch(secret, -1) {
		parts = append(parts, found[1])
		if plain, err := url.PathUnescape(found[1]); err == nil {
			parts = append(parts, plain)
		}
	}
	if found := userPassword().FindStringSubmatch(strings.TrimSpace(secret)); found != nil {
		parts = append(parts, found[1])
	}
	return parts
}

// setting is a name in a text, with the text after it.
type setting struct {
	name, separator, rest string

	flag  bool // dashes precede the name
	first bool // the name is at the beginning of the text or element
}

// isSecret tells whether the value of a setting in a text must be masked.
func (s setting) isSecret() bool {
	if s.rest == "" {
		return false
	}
	if strings.TrimLeft(s.separator, " \t\r\n"+between) == "" { // no = and no :
		short := s.name == "p" && !strings.ContainsAny(s.rest[:1], "/.$-")
		return s.flag && s.rest[0] != '-' && (short || hides(s.name, s.rest))
	}
	return hides(s.name, s.rest)
}

// valueLength gives the length of the value at the beginning of rest. A quoted value ends
// at its closing quote; a value that fills an element or follows a colon ends with the
// element or line; any other value ends at the next blank.
func (s setting) valueLength() int {
	if escapes := len(s.rest) - len(strings.TrimLeft(s.rest, `\`)); escapes < len(s.rest) && strings.ContainsAny(s.rest[escapes:escapes+1], `"'`) {
		return quotedLength(s.rest, escapes)
	}
	ends := " \t\r\n" + between
	switch {
	case strings.Contains(s.separator, between):
		ends = between
	case strings.Contains(s.separator, ":"), s.first && s.flag && strings.Contains(s.separator, "="):
		ends = "\n" + between
	}
	if end := strings.IndexAny(s.rest, ends); end >= 0 {
		return end
	}
	return len(s.rest)
}

// quotedLength gives the length of a quoted text whose opening quote follows this number
// of backslashes. The closing quote follows the same number; a quote after more of them
// is part of the text.
func quotedLength(text string, escapes int) int {
	quote, before := text[escapes], 0
	for i := escapes + 1; i < len(text); i++ {
		switch {
		case text[i] == quote && before == escapes:
			return i + 1
		case text[i] == '\\':
			before++
		default:
			before = 0
		}
	}
	return len(text)
}
