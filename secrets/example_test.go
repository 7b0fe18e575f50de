package secrets_test

import (
	"fmt"
	"os"

	"coin.internal/coin-agent/secrets"
)

// Without keys, Seal returns the names and the unencrypted versions.
func ExampleSeal() {
	data, err := os.ReadFile("testdata/yaml.enc")
	if err != nil {
		fmt.Println(err)
		return
	}
	path := "environments/sandbox/nodes/node3/secrets.enc"
	set, err := secrets.Seal([]secrets.File{{Path: path, Data: data}}, secrets.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, found := set.Lookup("db_access", "")
	fmt.Println(set.Names(), set.Versions())
	fmt.Println(value, found, value.Known())
	// Output:
	// [db_access] map[SV_db_access:2]
	// [redacted] true false
}
