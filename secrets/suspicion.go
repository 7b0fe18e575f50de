package secrets

import (
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// token is a kind of key with a known form.
type token struct {
	what string
	form lazyregexp.Regexp
}

// tokens lists the kinds of keys.
var tokens = []token{
	{"a private key", lazyregexp.New(`-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----`)},
	{"an age identity", lazyregexp.New(`AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{20,}`)},
	{"an AWS access key", lazyregexp.New(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a GitLab token", lazyregexp.New(`\bgl(pat|rt|dt|cbt|ptt|ft|soat|agent|imt)-[0-9A-Za-z_-]{20,}`)},
	{"a GitHub token", lazyregexp.New(`\b(gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{40,})`)},
	{"a Slack token", lazyregexp.New(`\bxox[abprse]-[0-9A-Za-z-]{10,}`)},
	{"a Slack webhook", lazyregexp.New(`hooks\.slack\.com/services/T[0-9A-Z]+/B[0-9A-Z]+/[0-9A-Za-z]{16,}`)},
	{"a Stripe key", lazyregexp.New(`\b[sr]k_live_[0-9A-Za-z]{16,}`)},
	{"a Google API key", lazyregexp.New(`\bAIza[0-9A-Za-z_-]{35}`)},
	{"a Vault token", lazyregexp.New(`\bhv[sb]\.[0-9A-Za-z_-]{24,}`)},
	{"a SendGrid key", lazyregexp.New(`\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}`)},
	{"a Docker Hub token", lazyregexp.New(`\bdckr_(pat|oat)_[0-9A-Za-z_-]{20,}`)},
	{"a Telegram bot token", lazyregexp.New(`\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}\b`)},
	{"a registry login", lazyregexp.New(`"auth"\s*:\s*"[0-9A-Za-z+/]{12,}={0,2}"`)},
	{"a JSON web token", lazyregexp.New(`\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}`)},
}

var (
	urlPassword = lazyregexp.New(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*:([^\s/@"']+)@`)

	// The forms of settings in files. A comment may contain a disabled setting.
	envSetting  = lazyregexp.New(`^\s*(#\s*)?(?:export\s+|ENV\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$`)
	yamlSetting = lazyregexp.New(`^\s*(#\s*)?(?:-\s+)?["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?\s*[:=]\s*(.*)$`)
	flowSetting = lazyregexp.New(`[{,]()\s*["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?\s*:\s*("[^"]*"|'[^']*'|[^,{}]*)`)
	jsonSetting = lazyregexp.New(`()"([A-Za-z_][A-Za-z0-9_.-]*)"\s*:\s*("[^"]*")`)

	secretName = lazyregexp.New(`(?i)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|` +
		`(^|[_.-])(PWD|PASS|PIN|SALT|IV|AUTH|CREDS?)$|(^|[_.-])(DB|DATABASE|REDIS|AMQP)_ACCESS$|` +
		`(^|[_.-])KEYS?([_.-]?([0-9]+|HEX|BASE64|B64|PEM))?$)`)
	// Keys of YAML files, such as secrets: and token:, are in lower case. These names in
	// lower case are settings.
	smallName    = lazyregexp.New(`(password|passwd|passphrase|api_?key|client_secret|secret_key|private_key)$`)
	harmlessName = lazyregexp.New(`(?i)((_|^)(FILE|PATH|DIR|URL|URI|HOST|PORT|NAME|USER|USERNAME|ID|IDS|TTL|TIMEOUT|LENGTH|SIZE|COUNT|LIMIT|` +
		`DAYS|HOURS|MINUTES|SECONDS|INTERVAL|ENABLED|REQUIRED|VERSION|ALGORITHM|ALG|TYPE|MODE|POLICY|FORMAT|HEADER|COOKIE|PREFIX|SUFFIX|EXPIRY|EXPIRES|` +
		`EXPIRATION|LIFETIME|ISSUER|AUDIENCE|SCOPES?|VARIABLE|REGEX|BACKEND|PROVIDER|ENDPOINT|ENCODER|HASHER|ROUNDS)$|` +
		`^SV_|^PUBLIC_|_PUBLIC_|(SITE|CACHE|ROUTING|PARTITION|PRIMARY|SORT|PUBLISHABLE)_KEY$)`)
	// Names of values that users choose, so that a short number can be the secret.
	chosenName = lazyregexp.New(`(?i)(PASSWORD|PASSWD|PASSPHRASE|(^|[_.-])(PWD|PASS|PIN)$)`)

	// Values that are not secrets: variables, placeholders, paths, addresses, options,
	// booleans.
	harmlessValue = lazyregexp.New(`(?i)^(\$[a-z_][a-z0-9_]*|\$\{[a-z_][a-z0-9_]*(:?\?[^}]*|:?[+-])?\}|\$[0-9@*]|\$\(.*|\{\{.*|<.*>|%.*%|\*+|x{3,}|.*\.{3}|` +
		`your[_-].*|[.~]{0,2}(/[a-z0-9_.@-]+)+/?|https?://[^\s?@]*|--[a-z].*|true|false|yes|no|on|off|null|none|~|ENC\[.*\])$`)
	fallback    = lazyregexp.New(`^\$\{[A-Za-z_][A-Za-z0-9_]*:?-(.*)\}$`)
	shortNumber = lazyregexp.New(`^[0-9.]{1,6}[A-Za-z]{0,2}$`)
	// Unquoted YAML that is not a scalar, what can precede one, and a key whose value begins on the
	// next line.
	yamlStructure = lazyregexp.New(`^[{\[|>&*!]`)
	yamlMarks     = lazyregexp.New(`^(?:[&!]\S+\s+)+`)
	yamlBlock     = lazyregexp.New(`^(\s*(?:-\s+)?["']?[A-Za-z_][A-Za-z0-9_.-]*["']?\s*:\s+)(?:[&!]\S+\s+)*[|>][-+0-9]*\s*(?:#.*)?$`)
)

// suspicion returns a message if a line seems to contain an unencrypted secret, or "".
// The message does not contain the value.
func suspicion(file, line string) string {
	for _, token := range tokens {
		if token.form().MatchString(line) {
			return "this looks like " + token.what + " in plaintext"
		}
	}
	if match := urlPassword().FindStringSubmatch(line); match != nil && !harmless("PASSWORD", match[1]) {
		return "this looks like a URL with its password in plaintext"
	}
	kind := settingsOf(file)
	for _, form := range kind.forms {
		for _, match := range form().FindAllStringSubmatch(line, -1) {
			if kind.tells(match[1] != "", match[2], match[3]) {
				return match[2] + " looks like a secret in plaintext"
			}
		}
	}
	return ""
}

// Suspicious reports whether the value of a setting looks like a secret, by the rules with which
// files are scanned.
func Suspicious(name, value string) bool { return suspiciousValue(name, value) != "" }

// suspiciousValue is suspicion for a value and its name.
func suspiciousValue(name, value string) string {
	if secretName().MatchString(name) && !harmlessName().MatchString(name) && !harmless(name, value) {
		return name + " looks like a secret in plaintext"
	}
	return suspicion("", value)
}

// settings describes the settings in a kind of file.
type settings struct {
	forms      []lazyregexp.Regexp // of a setting: comment sign, name, value
	yaml       bool
	composable bool // values often contain variables
}

// settingsOf returns the settings for a file's name. Other files have no settings.
func settingsOf(file string) settings {
	base, kind := path.Base(file), path.Ext(file)
	switch {
	case kind == ".env", strings.HasPrefix(base, ".env"), strings.HasSuffix(base, ".env.template"):
		return settings{forms: []lazyregexp.Regexp{envSetting}}
	case strings.HasPrefix(base, "Dockerfile"), kind == ".sh", kind == ".bash":
		return settings{forms: []lazyregexp.Regexp{envSetting}, composable: true}
	case kind == ".yml", kind == ".yaml":
		return settings{forms: []lazyregexp.Regexp{yamlSetting, flowSetting}, yaml: true}
	case kind == ".json":
		return settings{forms: []lazyregexp.Regexp{jsonSetting}}
	case slices.Contains([]string{".ini", ".conf", ".cfg", ".properties", ".toml"}, kind):
		return settings{forms: []lazyregexp.Regexp{envSetting}}
	}
	return settings{}
}

// tells reports whether one setting looks like a secret.
func (s settings) tells(comment bool, name, value string) bool {
	value = strings.TrimSpace(value)
	if !secretName().MatchString(name) || harmlessName().MatchString(name) {
		return false
	}
	if s.yaml {
		value = yamlMarks().ReplaceAllString(value, "")
	}
	if s.yaml && (name != strings.ToUpper(name) && !smallName().MatchString(name) || yamlStructure().MatchString(value)) {
		return false
	}
	value = unquoted(value)
	if comment && strings.ContainsAny(value, " \t") || s.composable && strings.Contains(value, "$") {
		return false // a sentence, or a value that a program makes
	}
	return !harmless(name, value)
}

// unquoted returns the text between quotes, or before a comment.
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

// harmless reports whether a setting's value is not a secret.
func harmless(name, value string) bool {
	if match := fallback().FindStringSubmatch(value); match != nil {
		value = match[1] // the default of the variable
	}
	return value == "" || harmlessValue().MatchString(value) || referenceForm().MatchString(value) || shortNumber().MatchString(value) && !chosenName().MatchString(name)
}
