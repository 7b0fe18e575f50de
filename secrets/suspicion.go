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
	{"a Docker Hub token", regexp.MustCompile(`\bdckr_(pat|oat)_[0-9A-Za-z_-]{20,}`)},
	{"a Telegram bot's token", regexp.MustCompile(`\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}\b`)},
	{"a registry login", regexp.MustCompile(`"auth"\s*:\s*"[0-9A-Za-z+/]{12,}={0,2}"`)},
	{"a JSON web token", regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}`)},
}

var (
	urlPassword = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*:([^\s/@"']+)@`)

	// How settings stand in files. A comment may hold one that was switched off.
	envSetting  = regexp.MustCompile(`^\s*(#\s*)?(?:export\s+|ENV\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$`)
	yamlSetting = regexp.MustCompile(`^\s*(#\s*)?(?:-\s+)?["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?\s*[:=]\s*(.*)$`)
	flowSetting = regexp.MustCompile(`[{,]()\s*["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?\s*:\s*("[^"]*"|'[^']*'|[^,{}]*)`)
	jsonSetting = regexp.MustCompile(`()"([A-Za-z_][A-Za-z0-9_.-]*)"\s*:\s*("[^"]*")`)

	secretName = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|` +
		`(^|[_.-])(PWD|PASS|PIN|SALT|IV|AUTH|CREDS?)$|(^|[_.-])(DB|DATABASE|REDIS|AMQP)_ACCESS$|` +
		`(^|[_.-])KEYS?([_.-]?([0-9]+|HEX|BASE64|B64|PEM))?$)`)
	// YAML's own keys, such as secrets: and token:, are written small; these are
	// settings all the same.
	smallName    = regexp.MustCompile(`(password|passwd|passphrase|api_?key|client_secret|secret_key|private_key)$`)
	harmlessName = regexp.MustCompile(`(?i)((_|^)(FILE|PATH|DIR|URL|URI|HOST|PORT|NAME|USER|USERNAME|ID|IDS|TTL|TIMEOUT|LENGTH|SIZE|COUNT|LIMIT|` +
		`DAYS|HOURS|MINUTES|SECONDS|INTERVAL|ENABLED|REQUIRED|VERSION|ALGORITHM|ALG|TYPE|MODE|POLICY|FORMAT|HEADER|COOKIE|PREFIX|SUFFIX|EXPIRY|EXPIRES|` +
		`EXPIRATION|LIFETIME|ISSUER|AUDIENCE|SCOPES?|VARIABLE|REGEX|BACKEND|PROVIDER|ENDPOINT|ENCODER|HASHER|ROUNDS)$|` +
		`^SV_|^PUBLIC_|_PUBLIC_|(SITE|CACHE|ROUTING|PARTITION|PRIMARY|SORT|PUBLISHABLE)_KEY$)`)
	// What people choose, and may choose plain: here a number can be the secret.
	chosenName = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|(^|[_.-])(PWD|PASS|PIN)$)`)

	// What stands for a value, or is too plain to be a secret: a variable, a
	// placeholder, a path, an address, an option, a switch.
	harmlessValue = regexp.MustCompile(`(?i)^(\$[a-z_][a-z0-9_]*|\$\{[a-z_][a-z0-9_]*(:?\?[^}]*|:?[+-])?\}|\$[0-9@*]|\$\(.*|\{\{.*|<.*>|%.*%|\*+|x{3,}|.*\.{3}|` +
		`your[_-].*|[.~]{0,2}(/[a-z0-9_.@-]+)+/?|https?://[^\s?@]*|--[a-z].*|true|false|yes|no|on|off|null|none|~|ENC\[.*\])$`)
	fallback    = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*:?-(.*)\}$`)
	shortNumber = regexp.MustCompile(`^[0-9.]{1,6}[A-Za-z]{0,2}$`)
	// What is no scalar in YAML, unless it is quoted.
	yamlStructure = regexp.MustCompile(`^[{\[|>&*!]`)
)

// suspicion says what a line seems to hold that should be encrypted; "" for
// nothing. The value itself is never part of it.
func suspicion(file, line string) string {
	for _, token := range tokens {
		if token.form.MatchString(line) {
			return "this looks like " + token.what + " in plaintext"
		}
	}
	if match := urlPassword.FindStringSubmatch(line); match != nil && !harmless("PASSWORD", match[1]) {
		return "this looks like a URL with its password in plaintext"
	}
	kind := settingsOf(file)
	for _, form := range kind.forms {
		for _, match := range form.FindAllStringSubmatch(line, -1) {
			if kind.tells(match[1] != "", match[2], match[3]) {
				return match[2] + " looks like a secret in plaintext"
			}
		}
	}
	return ""
}

// settings is how a kind of file holds them.
type settings struct {
	forms      []*regexp.Regexp // of a setting: comment sign, name, value
	yaml       bool
	composable bool // a value is often put together from variables
}

// settingsOf goes by the file's name; other files hold no settings.
func settingsOf(file string) settings {
	base := path.Base(file)
	switch {
	case path.Ext(base) == ".env", strings.HasPrefix(base, ".env"), strings.HasSuffix(base, ".env.template"):
		return settings{forms: []*regexp.Regexp{envSetting}}
	case strings.HasPrefix(base, "Dockerfile"):
		return settings{forms: []*regexp.Regexp{envSetting}, composable: true}
	}
	switch path.Ext(base) {
	case ".yml", ".yaml":
		return settings{forms: []*regexp.Regexp{yamlSetting, flowSetting}, yaml: true}
	case ".json":
		return settings{forms: []*regexp.Regexp{jsonSetting}}
	case ".ini", ".conf", ".cfg", ".properties", ".toml":
		return settings{forms: []*regexp.Regexp{envSetting}}
	case ".sh", ".bash":
		return settings{forms: []*regexp.Regexp{envSetting}, composable: true}
	}
	return settings{}
}

// tells judges one setting by its name and value.
func (s settings) tells(comment bool, name, value string) bool {
	value = strings.TrimSpace(value)
	if !secretName.MatchString(name) || harmlessName.MatchString(name) {
		return false
	}
	if s.yaml && (name != strings.ToUpper(name) && !smallName.MatchString(name) || yamlStructure.MatchString(value)) {
		return false
	}
	value = unquoted(value)
	if comment && strings.ContainsAny(value, " \t") || s.composable && strings.Contains(value, "$") {
		return false // a sentence; a program's own work
	}
	return !harmless(name, value)
}

// unquoted gives what stands between quotes, or before a comment.
func unquoted(value string) string {
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : end+1]
		}
	}
	if strings.HasPrefix(value, "#") {
		return ""
	}
	value, _, _ = strings.Cut(value, " #")
	return strings.Trim(strings.TrimSpace(value), `"'`)
}

// harmless says that a setting's value is no secret.
func harmless(name, value string) bool {
	if match := fallback.FindStringSubmatch(value); match != nil {
		value = match[1] // what holds where the variable is not set
	}
	return value == "" || harmlessValue.MatchString(value) || shortNumber.MatchString(value) && !chosenName.MatchString(name)
}
