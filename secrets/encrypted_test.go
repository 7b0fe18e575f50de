package secrets_test

import (
	"testing"

	"coin.internal/coin-agent/secrets"
)

func TestEncrypted(t *testing.T) {
	const text = "db_access: s3cr3t\nSV_db_access: \"3\"\nempty: \"\"\n"
	open := append(toAge(), "--unencrypted-regex", "^SV_")
	partly := append(toAge(), "--encrypted-regex", "^db_access$")
	for name, test := range map[string]struct {
		data      []byte
		some, all bool
	}{
		"all":           {encrypt(t, "yaml", text, toAge()...), true, true},
		"versions open": {encrypt(t, "yaml", text, open...), true, true},
		"a value open":  {encrypt(t, "yaml", text+"api_key: plain\n", partly...), true, false},
		"whole":         {encrypt(t, "binary", text, toAge()...), true, true},
		"none":          {[]byte(text), false, false},
		"nothing":       {nil, false, false},
	} {
		file := secrets.File{Path: node + "secrets.enc", Data: test.data}
		if some, all := secrets.Encrypted(file, false), secrets.Encrypted(file, true); some != test.some || all != test.all {
			t.Errorf("%s: got %v, %v, want %v, %v", name, some, all, test.some, test.all)
		}
	}
}
