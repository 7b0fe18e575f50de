package compose

import (
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
)

// plainForm matches $$, and a TAG_ or SV_ variable without a default, an alternative or
// a condition of its own: $SV_x and ${SV_x}, not ${SV_x:-3}.
var plainForm = regexp.MustCompile(`\$(?:\$|(?:TAG|SV)_[_a-zA-Z0-9]*|\{(?:TAG|SV)_[_a-zA-Z0-9]*\})`)

// withDefaults adds the agent's default to each TAG_ and SV_ variable in a text that does
// not have a form of its own: TAG, if it is set, and 0. So what the author of the file
// writes takes precedence, as in deployment.sh, which set a default only for the plain form.
func withDefaults(text string, values template.Mapping) string {
	return plainForm.ReplaceAllStringFunc(text, func(form string) string {
		name := strings.Trim(form, "${}")
		tag, _ := values("TAG")
		switch {
		case strings.HasPrefix(name, versionPrefix):
			return "${" + name + ":-0}"
		case strings.HasPrefix(name, tagPrefix) && tag != "":
			return "${" + name + ":-${TAG}}"
		}
		return form
	})
}

// Substitute replaces the variables in a text of a compose file, with the agent's
// defaults for TAG_ and SV_. Values gives those that are set.
func Substitute(text string, values template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	return template.SubstituteWithOptions(withDefaults(text, values), values, template.WithoutLogging)
}

// VersionIn returns the SV_ variable in the name of a secret or config, and its value
// there; "" if the name has none.
func VersionIn(name string, values template.Mapping) (variable, version string) {
	for _, variable := range variablesIn(name) {
		if !strings.HasPrefix(variable, versionPrefix) {
			continue
		}
		form := "${" + variable + "}"
		if own := extracted(name)[variable]; own.DefaultValue != "" {
			form = "${" + variable + ":-" + own.DefaultValue + "}"
		}
		version, _ := Substitute(form, values) // a malformed default is refused elsewhere
		return variable, version
	}
	return "", ""
}

// cutVariable splits a text that starts with a variable behind this variable.
func cutVariable(text string) (variable, rest string) {
	depth := 0
	for i := 1; i < len(text) && strings.HasPrefix(text, "${"); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return text[:i+1], text[i+1:]
			}
		}
	}
	return text, ""
}
