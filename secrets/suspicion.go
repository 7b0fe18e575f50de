package secrets

import (
	"path"
	"regexp"
	"strings"
)

// token is a kind of key that is known by its form.
type token struct {
	what string
	form *regexp.Regexp
}

// tokens are the kinds that say by themselves what they are.
var tokens = []token{
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----`)},
	{"an age identity", regexp.MustCompile(`AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{20,}`)},
	{"an AWS access key", regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a GitLab token", regexp.MustCompile(`\bgl(pat|rt|dt|cbt|ptt|ft|soat|agent|imt)-[0-9A-Za-z_-]{20,}`)},
	{"a GitHub token", regexp.MustCompile(`\b(gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{40,})`)},
	{"a Slack token", regexp.MustCompile(`\bxox[abprse]-[0-9A-Za-z-]{10,}`)},
	{"a Slack webhook", regexp.MustCompile(`hooks\.slack\.com/services/T[0-9A-Z]+/B[0-9A-Z]+/[0-9A-Za-z]{16,}`)},
	{"a Stripe key", regexp.MustCompile(`\b[sr]k_live_[0-9A-Za-z]{16,}`)},
	{"a Google API key", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
	{"a Vault token", regexp.MustCompile(`\bhv[sb]\.[0-9A-Za-z_-]{24,}`)},
	{"a SendGrid key", regexp.MustCompile(`\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}`)},
	{"a JSON web token", regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}`)},
}

var (
	urlPassword = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*:([^\s/@"']+)@`)
	// A setting in a file of settings, and one among a YAML file's variables:
	// YAML's own keys, such as secrets:, are written small.
	envSetting  = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$`)
	yamlSetting = regexp.MustCompile(`^\s*(?:-\s+)?["']?([A-Z_][A-Z0-9_]*)["']?\s*[:=]\s*(.*)$`)

	secretName   = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|(^|_)(PWD|KEY|PIN|SALT)$)`)
	harmlessName = regexp.MustCompile(`(?i)((_|^)(FILE|PATH|DIR|URL|URI|HOST|PORT|NAME|ID|IDS|TTL|TIMEOUT|LENGTH|SIZE|ENABLED|VERSION|ALGORITHM|TYPE|HEADER|PREFIX|EXPIRY|EXPIRES|EXPIRATION|LIFETIME|VARIABLE|REGEX)$|^SV_|^PUBLIC_|_PUBLIC_)`)
	// What stands for a value, or is too plain to be a secret: a variable, a
	// placeholder, a path, a switch, a number, a duration.
	harmlessValue = regexp.MustCompile(`(?i)^(\$.*|\{\{.*|<.*>|%.*%|\*+|x{3,}|\.{3}|/\S*|\./\S*|true|false|yes|no|on|off|null|none|~|[0-9.]{1,6}[a-z]{0,2}|ENC\[.*\])$`)
)

// suspicion says what a line seems to hold that should be encrypted; "" for
// nothing. The value itself is never part of it.
func suspicion(file, line string) string {
	for _, token := range tokens {
		if token.form.MatchString(line) {
			return "this looks like " + token.what + " in plaintext"
		}
	}
	if match := urlPassword.FindStringSubmatch(line); match != nil && !harmlessValue.MatchString(match[1]) {
		return "this looks like a URL with its password in plaintext"
	}
	form := settingForm(file)
	if form == nil {
		return ""
	}
	match := form.FindStringSubmatch(line)
	if match == nil || !secretName.MatchString(match[1]) || harmlessName.MatchString(match[1]) || harmless(match[2]) {
		return ""
	}
	return match[1] + " looks like a secret in plaintext"
}

// settingForm is how a file of this name writes settings; nil for other files.
func settingForm(file string) *regexp.Regexp {
	base := path.Base(file)
	switch {
	case path.Ext(base) == ".env", strings.HasPrefix(base, ".env"), strings.HasSuffix(base, ".env.template"):
		return envSetting
	case path.Ext(base) == ".yml", path.Ext(base) == ".yaml":
		return yamlSetting
	}
	return nil
}

// harmless says that a setting's value is no secret.
func harmless(value string) bool {
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, "#") {
		return true
	}
	value = strings.Trim(value, `"'`)
	return value == "" || harmlessValue.MatchString(value)
}
