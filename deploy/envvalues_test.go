package deploy_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy"
)

func TestShownValue(t *testing.T) {
	for _, test := range []struct {
		name, value string
		shown       bool
	}{
		{"LOG_LEVEL", "debug", true},
		{"REPLICAS", "3", true},
		{"JAVA_OPTS", "-Xmx512m -XX:MaxRAMPercentage=75 -Dfile.encoding=UTF-8", true},
		{"HANDLER", "com.coin.payments.PaymentGatewayHandlerFactory", true},
		{"DB_HOST", "sbxapp3-postgresql15.coin.example:5432", true},
		{"API_URL", "https://10.95.81.131:5443/v2/health?limit=100", true},
		{"STARTED", "2026-11-29T17:20:51Z", true},
		{"STAMP", "1764436851000", true},
		{"SIZES", "128M,256M,512M", true},
		{"FEATURES", "betaCheckout2,newLedgerV3,walletApi", true},
		{"CRON", "*/5 0-23 * * 1-5", true},
		{"CLIENT_API_NAME", "coin_client_api_gateway_v2", true},
		{"GIT_COMMIT", "79f141c9f3d2f8a1b0c4e5d6a7b8c9d0e1f2a3b4", true},
		{"TAG_API", "79f141c9f3d2f8a1b0c4e5d6a7b8c9d0", true},
		{"IMAGE", "coin/api@sha256:79f141c9f3d2f8a1b0c4e5d6a7b8c9d0e1f2a3b4", true},

		{"X_ID", "79f141c9f3d2f8a1b0c4e5d6a7b8c9d0", false},
		{"UPSTREAM", "https://api.example/v1/79f141c9f3d2f8a1b0c4e5d6/call", false},
		{"PARTNER", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", false},
		{"STRIPE", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", false},
		{"SETTING", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", false},
		{"CODE", "x7Gp2qLw9Zk4", false},
		{"ACCOUNT", "4111111111111111", false},
		{"DSN", "u:Zk4x7Gp2qLw9@tcp(db)/coin", false},
	} {
		want := deploy.Hidden
		if test.shown {
			want = test.value
		}
		if got := deploy.ShownValue(test.name, test.value); got != want {
			t.Errorf("%s=%s: got %q, want %q", test.name, test.value, got, want)
		}
	}
}

// TestGeneratedSecretsAreHidden makes values as people generate them: none of 3,000 may be
// shown whole under a name that says nothing.
func TestGeneratedSecretsAreHidden(t *testing.T) {
	for _, form := range []struct {
		name string
		of   func([]byte) string
		// tolerated is how many of 1,000 a judge by form may miss.
		tolerated int
	}{
		{"hex", hex.EncodeToString, 0},
		{"base64", base64.StdEncoding.EncodeToString, 10},
		{"base64 for URLs", base64.RawURLEncoding.EncodeToString, 10},
	} {
		shown := 0
		for range 1000 {
			content := make([]byte, 24)
			_, _ = rand.Read(content) // it never fails
			if value := form.of(content); deploy.ShownValue("SETTING", value) == value {
				shown++
			}
		}
		if shown > form.tolerated {
			t.Errorf("%s: %d of 1000 are shown", form.name, shown)
		}
	}
}

// TestSecretValuesAreNotInPlans changes variables with names that say nothing, in an update
// and in a drift, and checks that only words about the change remain.
func TestSecretValuesAreNotInPlans(t *testing.T) {
	live, want := newStack("s"), newStack("s")
	add(live, "a", withEnv("PARTNER=x7Gp2qLw9Zk4", "LOG_LEVEL=info"))
	add(want, "a", withEnv("PARTNER=Qm3rT8vB1nHs", "LOG_LEVEL=debug"))
	plan, err := deploy.Diff(liveOf(live), want)
	if err != nil {
		t.Fatal(err)
	}
	for name, steps := range map[string][]deploy.Step{"plan": plan.Steps, "drift": deploy.Drift(liveOf(live).Services, want)} {
		if len(steps) != 1 || len(steps[0].Changes) != 2 {
			t.Fatalf("%s: %+v", name, steps)
		}
		level, partner := steps[0].Changes[0], steps[0].Changes[1]
		if level.Old != "info" || level.New != "debug" || partner.Old != deploy.Hidden || partner.New != deploy.Hidden {
			t.Errorf("%s: %+v, %+v", name, level, partner)
		}
	}
	recorded, err := plan.MarshalJSON()
	if err != nil || strings.Contains(string(recorded), "x7Gp2") || strings.Contains(string(recorded), "Qm3rT") {
		t.Errorf("%s, %v", recorded, err)
	}
}
