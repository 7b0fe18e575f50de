package deploy_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"coin.internal/coin-agent/deploy"
)

func TestWithhold(t *testing.T) {
	content := []byte("version: 1\ncanary-value-of-a-secret")
	for _, test := range []struct {
		name string
		text string
		want bool
	}{
		{"a refusal of its own", "secret db_access.1 already exists", false},
		{"quoted", "no room for " + string(content), true},
		{"as it was sent", "no room for " + base64.StdEncoding.EncodeToString(content), true},
		{"cut", "no room for " + base64.StdEncoding.EncodeToString(content)[:12] + "...", true},
		{"hexadecimal", fmt.Sprintf("no room for %x", content[3:14]), true},
	} {
		err := errors.New(test.text)
		if got := deploy.Withhold(err, content); (got != err) != test.want { //nolint:errorlint // the very same
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if deploy.Withhold(nil, content) != nil {
		t.Error("an error of nothing")
	}
	if err := errors.New("of pin 1234"); deploy.Withhold(err, []byte("1234")) == err { //nolint:errorlint // the very same
		t.Error("a short secret is shown")
	}
}
