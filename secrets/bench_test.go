package secrets_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/secrets"
)

func BenchmarkOpen40Keys(b *testing.B) {
	var text strings.Builder
	for index := range 40 {
		fmt.Fprintf(&text, "secret_%d: %s\nSV_secret_%d: %d\n", index, strings.Repeat("x", 64), index, index)
	}
	for name, args := range map[string][]string{"all": toAge(), "versions_open": append(toAge(), "--unencrypted-regex", "^SV_")} {
		data := encrypt(b, "yaml", text.String(), args...)
		keys := ageKeys(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set, err := keys.Open([]secrets.File{{Path: "secrets.enc", Data: data}}, secrets.Options{})
				if err != nil {
					b.Fatal(err)
				}
				set.Wipe()
			}
		})
	}
}
