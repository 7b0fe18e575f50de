package manifests_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const day = 24 * time.Hour

func TestSecretRetention(t *testing.T) {
	tests := []struct {
		environment, keys string
		want              time.Duration
	}{
		{"development", "", 7 * day},
		{"sandbox", "", 14 * day},
		{"testing", "", 30 * day},
		{"production", "", 90 * day},
		{"elsewhere", "", 90 * day},
		{"sandbox", "secrets: {retention: {days: 3}}\n", 3 * day},
		{"sandbox", "secrets: {retention: {days: 0}}\n", 0},
		{"production", "secrets: {retention: {versions: 5}}\n", 90 * day},
		{"production", "secrets: {retention: {days: 106752}}\n", 36525 * day}, // more than a duration has
		{"production", "secrets: {retention: {days: 999999}}\n", 36525 * day},
	}
	for _, test := range tests {
		config, err := loadConfig(test.environment, strings.Replace(plainConfig, "sandbox", test.environment, 1)+test.keys)
		if err != nil {
			t.Errorf("%s: %v", test.environment, err)
		} else if got := config.SecretRetention(); got != test.want {
			t.Errorf("%s %s: got %s, want %s", test.environment, test.keys, got, test.want)
		}
	}
}

func TestSecretsAndImages(t *testing.T) {
	config, err := loadConfig("sandbox", plainConfig+`    required_secrets: [node_key, db_access]
images: {resolve: always}
secrets:
  required: [db_access, API_KEY]
  rotation_days: 90
  rotation_exceptions: {card_iv: 0, API_KEY: 30, never: 1000000}
`)
	if err != nil {
		t.Fatal(err)
	}
	if config.Images.Resolve != "always" || config.Secrets.Retention.Versions != 1 {
		t.Errorf("images %+v, retention %+v", config.Images, config.Secrets.Retention)
	}
	if diff := cmp.Diff([]string{"API_KEY", "db_access", "node_key"}, config.RequiredSecrets(config.Nodes[0].Name)); diff != "" {
		t.Errorf("required (-want +got):\n%s", diff)
	}
	for name, want := range map[string]time.Duration{"db_access": 90 * day, "API_KEY": 30 * day, "card_iv": 0, "never": 36525 * day} {
		if got := config.RotationPeriod(name); got != want {
			t.Errorf("%s is to be rotated after %s, want %s", name, got, want)
		}
	}
}

func TestSecretsFaults(t *testing.T) {
	for keys, want := range map[string]string{
		"secrets: {retention: {days: -1}}\n":                 "secrets.retention.days: want a whole number of at least 0",
		"secrets: {retention: {versions: 0}}\n":              "secrets.retention.versions: want a whole number of at least 1",
		"secrets: {rotation_exceptions: {card_iv: never}}\n": "secrets.rotation_exceptions.card_iv: want a whole number of at least 0",
		"secrets: {required: [a, a]}\n":                      `secrets.required lists "a" twice`,
		"images: {resolve: sometimes}\n":                     "images.resolve: want one of always, changed, never",
		"    required_secrets: [a, b, a]\n":                  `nodes[0].required_secrets lists "a" twice`,
	} {
		_, err := loadConfig("sandbox", plainConfig+keys)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", keys, err, want)
		}
	}
}
