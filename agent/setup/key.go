package setup

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"

	"coin.internal/coin-agent/internal/privatefile"
)

// makeKey makes an age key in a file of mode 0600, unless there is one, and gives the recipients
// of the keys in it.
func makeKey(path string) (recipients []string, made bool, err error) {
	if !exists(path) {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, false, fmt.Errorf("make an age key: %w", err)
		}
		content := fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), identity.Recipient(), identity)
		defer clear(content)
		if made, err = Write(path, content, 0o600); err != nil {
			return nil, false, err
		}
	}
	content, err := privatefile.Read(path, "the key file", nil)
	if err != nil {
		return nil, made, err
	}
	defer clear(content)
	identities, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return nil, made, nil // an SSH key, or one that the keyring explains
	}
	for _, one := range identities {
		if own, ok := one.(*age.X25519Identity); ok {
			recipients = append(recipients, own.Recipient().String())
		}
	}
	return recipients, made, nil
}

// sopsRules are the lines of the repository's .sops.yaml that encrypt the secrets of an
// environment to recipients.
func sopsRules(environment string, recipients []string) string {
	to := strings.Join(recipients, ",")
	return fmt.Sprintf(`creation_rules:
  - path_regex: environments/%[1]s/.*/secrets\.override\.enc$
    age: %[2]s
    unencrypted_regex: ^SV_
  - path_regex: environments/%[1]s/.*/secrets(/.*)?\.enc$
    age: %[2]s
`, environment, to)
}
