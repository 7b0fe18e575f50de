package secrets_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/secrets"
)

const canary = "canary-7f3a"

func TestValueIsNeverShown(t *testing.T) {
	secret := secrets.NewValue([]byte(canary))
	type outer struct {
		Public  secrets.Value
		hidden  secrets.Value
		Pointer *secrets.Value
		pointer *secrets.Value
	}
	shapes := map[string]any{
		"value": secret, "pointer": &secret, "slice": []secrets.Value{secret}, "array": [1]secrets.Value{secret},
		"map": map[string]secrets.Value{"k": secret}, "any": []any{secret, &secret},
		"struct":     outer{Public: secret, hidden: secret, Pointer: &secret, pointer: &secret},
		"struct ptr": &outer{Public: secret, hidden: secret, Pointer: &secret, pointer: &secret},
	}
	for name, shape := range shapes {
		for verb := range strings.FieldsSeq("%v %+v %#v %s %q %x %X %d %o %b %c %U %e %f %t %T %p %z %10.3s %#x % x") {
			mustHide(t, name+" "+verb, fmt.Sprintf(verb, shape))
		}
		mustHide(t, name+" print", fmt.Sprint(shape)+fmt.Sprintln(shape))
		mustHide(t, name+" error", fmt.Errorf("use %v: %w", shape, errors.New("x")).Error())
		if text, err := json.Marshal(shape); err == nil {
			mustHide(t, name+" json", string(text))
		}
		if text, err := yaml.Marshal(shape); err == nil {
			mustHide(t, name+" yaml", string(text))
		}
		if text, err := xml.Marshal(shape); err == nil {
			mustHide(t, name+" xml", string(text))
		}
		var log bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(handler).With("with", shape).Info("x", "attr", shape, slog.Group("group", "in", shape))
		}
		mustHide(t, name+" slog", log.String())
		var page bytes.Buffer
		if err := template.Must(template.New("").Parse("{{.}} {{printf `%v %x` . .}}")).Execute(&page, shape); err != nil {
			t.Fatal(err)
		}
		mustHide(t, name+" template", page.String())
	}
	mustHide(t, "cmp", cmp.Diff(outer{Public: secret}, outer{}, cmp.Exporter(func(reflect.Type) bool { return true })))
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%#v", secret), fmt.Sprint(secrets.Value{})} {
		if text != "[redacted]" {
			t.Errorf("printed as %q", text)
		}
	}
}

func TestSetAndKeyringAreNeverShown(t *testing.T) {
	set := open(t, ageKeys(t), secrets.File{Path: "secrets.enc", Data: encrypt(t, "yaml", "a: "+canary+"\nauto_version_key: "+canary+canary, toAge()...)})
	keys := load(t, secrets.KeyFiles{Age: []string{lab.path("age.key"), lab.path("ssh.key")}, PGP: []string{lab.path("rsa.asc")}})
	holder := struct {
		set  *secrets.Set
		keys *secrets.Keyring
		Keys *secrets.Keyring
	}{set, keys, keys}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		text := fmt.Sprintf(verb+verb+verb+verb, set, *set, holder, keys)
		mustHide(t, verb, text)
		if strings.Contains(text, "AGE-SECRET-KEY") || strings.Contains(text, fmt.Sprintf("%x", "AGE-SECRET-KEY")) {
			t.Errorf("%s shows an age key: %s", verb, text)
		}
	}
	text, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	mustHide(t, "json", string(text))
}

func mustHide(t *testing.T, how, text string) {
	t.Helper()
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%d", []byte(canary)), "Y2FuYXJ5LTdmM2E"} {
		if strings.Contains(text, form) || strings.Contains(text, strings.Trim(form, "[]")) {
			t.Errorf("%s shows the content: %s", how, text)
		}
	}
}

func TestValueLife(t *testing.T) {
	content := []byte(canary)
	secret := secrets.NewValue(content)
	twin := secret
	if !secret.Known() || string(twin.Reveal()) != canary {
		t.Fatal("the Value has no content")
	}
	secret.Wipe()
	secret.Wipe()
	if secret.Known() || twin.Known() || twin.Reveal() != nil || !bytes.Equal(content, make([]byte, len(content))) {
		t.Errorf("after Wipe: known %t, buffer %x", twin.Known(), content)
	}
	var none secrets.Value
	none.Wipe()
	if none.Known() || none.Reveal() != nil || none.Fingerprint([]byte("key")) != "" {
		t.Error("the zero Value has content")
	}
	if empty := secrets.NewValue(nil); !empty.Known() || empty.Reveal() == nil {
		t.Error("a Value with empty content is unknown")
	}
}

func TestFingerprint(t *testing.T) {
	key, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	one, same, another := secrets.NewValue([]byte("a")), secrets.NewValue([]byte("a")), secrets.NewValue([]byte("b"))
	if one.Fingerprint(key) != same.Fingerprint(key) {
		t.Error("equal contents differ")
	}
	if one.Fingerprint(key) == another.Fingerprint(key) || one.Fingerprint(key) == one.Fingerprint(other) {
		t.Error("different contents or keys give the same fingerprint")
	}
	if len(one.Fingerprint(key)) != 64 || one.Fingerprint(nil) != "" {
		t.Errorf("fingerprints %q, %q", one.Fingerprint(key), one.Fingerprint(nil))
	}
}
