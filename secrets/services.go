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
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/kms"
	sopspgp "github.com/getsops/sops/v3/pgp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// The names of the key services in the agent's settings. Only age and PGP do not need the
// network.
const (
	serviceAge    = "age"
	servicePGP    = "pgp"
	serviceVault  = "hc_vault"
	serviceAWS    = "aws_kms"
	serviceGCP    = "gcp_kms"
	serviceAzure  = "azure_kv"
	serviceHuawei = "hckms"
)

// remoteTimeout is the timeout of one request to a key service on the network.
const remoteTimeout = 15 * time.Second

// KeyServices lists the names allowed in KeyFiles.Services.
func KeyServices() []string {
	return []string{serviceAge, servicePGP, serviceVault, serviceAWS, serviceGCP, serviceAzure, serviceHuawei}
}

// DefaultKeyServices lists the allowed services when KeyFiles.Services is empty.
func DefaultKeyServices() []string { return []string{serviceAge, servicePGP} }

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
		if !slices.Contains(KeyServices(), name) {
			faults = append(faults, fault.New(fault.Place{}, "use "+strings.Join(KeyServices(), ", "), "key_services: unknown key service %q", oneline.Cut(name, 40)))
		}
	}
	for _, needs := range []struct {
		service, settings string
		set               bool
	}{
		{serviceAge, "age_key_files is", len(files.Age) > 0},
		{servicePGP, "pgp_key_files or gnupg_home is", len(files.PGP) > 0 || files.GnuPGHome != ""},
		{serviceVault, "vault_address or vault_token_file is", files.VaultAddress != "" || files.VaultToken != ""},
	} {
		if needs.set && !k.admits(needs.service) {
			faults = append(faults, fault.New(fault.Place{}, "add "+needs.service+" to key_services, or remove the setting",
				"%s set, but key_services does not list %s", needs.settings, needs.service))
		}
	}
	return errors.Join(faults...)
}

func (k *Keyring) admits(service string) bool { return slices.Contains(k.services, service) }

// serviceOf returns the key service of a recipient, or "" for an unknown one.
func serviceOf(key keys.MasterKey) string {
	switch key.(type) {
	case *sopsage.MasterKey:
		return serviceAge
	case *sopspgp.MasterKey:
		return servicePGP
	case *hcvault.MasterKey:
		return serviceVault
	case *kms.MasterKey:
		return serviceAWS
	case *gcpkms.MasterKey:
		return serviceGCP
	case *azkv.MasterKey:
		return serviceAzure
	case *hckms.MasterKey:
		return serviceHuawei
	}
	return ""
}

// usable reports whether a recipient's key service is allowed, and SOPS can read the
// recipient without a panic.
func (k *Keyring) usable(key keys.MasterKey) bool {
	if amazon, ok := key.(*kms.MasterKey); ok {
		for _, value := range amazon.EncryptionContext {
			if value == nil { // SOPS would panic
				return false
			}
		}
	}
	return k.admits(serviceOf(key))
}

// remoteKey is a recipient of SOPS that uses a service on the network.
type remoteKey interface {
	DecryptContext(ctx context.Context) ([]byte, error)
}

// cloudKey returns the key of SOPS for a request to a cloud.
func cloudKey(request *keyservice.DecryptRequest) (remoteKey, error) {
	enc := string(request.Ciphertext)
	switch kind := request.Key.KeyType.(type) {
	case *keyservice.Key_KmsKey:
		key := &kms.MasterKey{Arn: kind.KmsKey.Arn, Role: kind.KmsKey.Role, AwsProfile: kind.KmsKey.AwsProfile, EncryptedKey: enc, EncryptionContext: map[string]*string{}}
		for name, value := range kind.KmsKey.Context {
			key.EncryptionContext[name] = &value
		}
		return key, nil
	case *keyservice.Key_GcpKmsKey:
		return &gcpkms.MasterKey{ResourceID: kind.GcpKmsKey.ResourceId, EncryptedKey: enc}, nil
	case *keyservice.Key_AzureKeyvaultKey:
		key := kind.AzureKeyvaultKey
		return &azkv.MasterKey{VaultURL: key.VaultUrl, Name: key.Name, Version: key.Version, EncryptedKey: enc}, nil
	case *keyservice.Key_HckmsKey:
		key, err := hckms.NewMasterKey(kind.HckmsKey.KeyId)
		if err != nil {
			return nil, errKeyRefused
		}
		key.EncryptedKey = enc
		return key, nil
	}
	return nil, errKeyRefused
}

// openCloud uses a cloud's key service with the credentials that its SDK finds.
func openCloud(ctx context.Context, request *keyservice.DecryptRequest) ([]byte, error) {
	key, err := cloudKey(request)
	if err != nil {
		return nil, err
	}
	plain, err := key.DecryptContext(ctx)
	if err != nil {
		return nil, remoteFailure(err)
	}
	return plain, nil
}

// remoteFailure returns why a key service did not open a key, without the text of its
// answer, which may quote the request.
func remoteFailure(err error) error {
	var coded interface{ ErrorCode() string }
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer within %s", errRemote, remoteTimeout)
	case errors.As(err, &coded):
		return fmt.Errorf("%w: it answered %s", errRemote, oneline.Cut(coded.ErrorCode(), 60))
	case errors.As(err, &network):
		return fmt.Errorf("%w: the connection failed", errRemote)
	case status.Code(err) != codes.Unknown && status.Code(err) != codes.OK:
		return fmt.Errorf("%w: it answered %s", errRemote, status.Code(err))
	}
	return fmt.Errorf("%w: the request was refused, or no credentials were found", errRemote)
}
