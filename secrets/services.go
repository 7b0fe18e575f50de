package secrets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hckms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"
	sopspgp "github.com/getsops/sops/v3/pgp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// keyServices are the key services of SOPS, with their names in the agent's settings and
// in texts. Only the first two do not need the network.
var keyServices = []struct{ name, title string }{
	{sopsage.KeyTypeIdentifier, "age"},
	{sopspgp.KeyTypeIdentifier, "PGP"},
	{hcvault.KeyTypeIdentifier, "Vault transit"},
}

// KeyServiceVault is the name of Vault's transit engine in KeyFiles.Services.
const KeyServiceVault = hcvault.KeyTypeIdentifier

// absentServices are those that are not built in: the SDKs of the clouds would be most of the
// binary. They are named where a file or the settings need one.
var absentServices = []struct{ name, title string }{
	{serviceAWS, "AWS KMS"},
	{gcpkms.KeyTypeIdentifier, "Google Cloud KMS"},
	{azkv.KeyTypeIdentifier, "Azure Key Vault"},
	{hckms.KeyTypeIdentifier, "Huawei Cloud KMS"},
}

const serviceAWS = "aws_kms" // SOPS calls it kms

// remoteTimeout is the timeout of one request to a key service on the network.
const remoteTimeout = 15 * time.Second

// KeyServices lists the names allowed in KeyFiles.Services.
func KeyServices() []string {
	var names []string
	for _, service := range keyServices {
		names = append(names, service.name)
	}
	return names
}

// DefaultKeyServices lists the allowed services when KeyFiles.Services is empty.
func DefaultKeyServices() []string { return KeyServices()[:2] }

// Empty reports whether f has no key and no service.
func (f KeyFiles) Empty() bool {
	remote := slices.ContainsFunc(f.Services, func(name string) bool { return !slices.Contains(DefaultKeyServices(), name) })
	return len(f.Age) == 0 && len(f.PGP) == 0 && f.GnuPGHome == "" && f.VaultAddress == "" && f.VaultToken == "" && !remote
}

// admit sets the allowed key services.
func (k *Keyring) admit(files KeyFiles) error {
	k.services = files.Services
	if len(k.services) == 0 {
		k.services = DefaultKeyServices()
	}
	var faults []error
	for _, name := range k.services {
		if title := absentTitle(name); title != "" {
			faults = append(faults, fault.New(fault.Place{}, "remove "+name+" from key_services, and encrypt the files for an age, PGP or Vault key, too: sops rotate --in-place --add-age RECIPIENT FILE",
				"key_services: %s (%s) is not built into the agent", title, name))
		} else if !slices.Contains(KeyServices(), name) {
			faults = append(faults, fault.New(fault.Place{}, "use "+strings.Join(KeyServices(), ", "), "key_services: unknown key service %q", oneline.Cut(name, 40)))
		}
	}
	for _, needs := range []struct {
		service, settings string
		set               bool
	}{
		{sopsage.KeyTypeIdentifier, "age_key_files is", len(files.Age) > 0},
		{sopspgp.KeyTypeIdentifier, "pgp_key_files or gnupg_home is", len(files.PGP) > 0 || files.GnuPGHome != ""},
		{hcvault.KeyTypeIdentifier, "vault_address or vault_token_file is", files.VaultAddress != "" || files.VaultToken != ""},
	} {
		if needs.set && !k.admits(needs.service) {
			faults = append(faults, fault.New(fault.Place{}, "add "+needs.service+" to key_services, or remove the setting",
				"%s set, but key_services does not list %s", needs.settings, needs.service))
		}
	}
	return errors.Join(faults...)
}

func (k *Keyring) admits(service string) bool { return slices.Contains(k.services, service) }

// serviceOf returns the key service of a recipient.
func serviceOf(key keys.MasterKey) string {
	if name := key.TypeToIdentifier(); name != kms.KeyTypeIdentifier {
		return name
	}
	return serviceAWS
}

// absentTitle gives the name of a key service in texts if it is not built in, or "".
func absentTitle(service string) string {
	for _, absent := range absentServices {
		if absent.name == service {
			return absent.title
		}
	}
	return ""
}

// titleOf gives the name of a key service in texts.
func titleOf(service string) string {
	for _, one := range keyServices {
		if one.name == service {
			return one.title
		}
	}
	return absentTitle(service)
}

// remoteFailure returns why a key service did not answer, without the text of its answer, which
// may quote the request. It is transient: no commit causes it.
func remoteFailure(err error) error {
	var network net.Error
	why := "the request was refused"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		why = "no answer within " + remoteTimeout.String()
	case errors.As(err, &network):
		why = "the connection failed"
	}
	return fault.Transient(fmt.Errorf("%w: %s", errRemote, why))
}
