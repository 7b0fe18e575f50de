package secrets_test

import (
	"testing"

	"github.com/getsops/sops/v3/version"

	"coin.internal/coin-agent/secrets"
)

// TestSOPSVersion compares the version in new files with that of the library.
func TestSOPSVersion(t *testing.T) {
	if secrets.SOPSVersion != version.Version {
		t.Errorf("new files say sops %s, the library is %s", secrets.SOPSVersion, version.Version)
	}
}
