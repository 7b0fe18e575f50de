package deploy

import (
	"regexp"
	"strings"
)

// hidden stands where a value must not be shown.
const hidden = "***"

// longest is how much of one value a change shows.
const longest = 300

// masker hides what looks secret in text that people will read.
type masker struct {
	name       *regexp.Regexp // a name that promises a secret
	assignment *regexp.Regexp // such a name with its value, anywhere in a text
	url        *regexp.Regexp // the password in a URL
}

const secretWords = `password|passwd|passphrase|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|authorization`

var looksSecret = masker{
	name:       regexp.MustCompile(`(?i)(` + secretWords + `|(^|[_.\-])key$)`),
	assignment: regexp.MustCompile(`(?i)([\w.\-]*(?:` + secretWords + `)[\w.\-]*["']?\s*[=:]\s*["']?)([^\s"',;&]+)`),
	url:        regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.\-]*://[^\s/:@]*:)([^\s/@]+)@`),
}

// masked renders one side of a change: hidden whole when the path's last key
// looks secret, else without the passwords in it, and cut when it is long.
func masked(path, text string) string {
	if text == "" {
		return ""
	}
	if open := strings.LastIndexByte(path, '['); open >= 0 && strings.HasSuffix(path, "]") && maskable(path) {
		if looksSecret.name.MatchString(path[open+1 : len(path)-1]) {
			return hidden
		}
	}
	text = looksSecret.url.ReplaceAllString(text, "${1}"+hidden+"@")
	text = looksSecret.assignment.ReplaceAllString(text, "${1}"+hidden)
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// maskable tells the lists and maps whose keys are names of settings. The keys
// of references (a secret's file, a mount's target) hide nothing: the reference
// is a name, not a value.
func maskable(path string) bool {
	for _, references := range []string{".Secrets[", ".Configs[", ".Mounts[", "Networks[", ".Ports[", ".Constraints["} {
		if i := strings.LastIndex(path, references); i >= 0 && i+len(references) == strings.LastIndexByte(path, '[')+1 {
			return false
		}
	}
	return true
}
