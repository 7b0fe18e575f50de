package record_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
)

// TestGathered wants a copy that says the same, and shares no list that has texts.
func TestGathered(t *testing.T) {
	sync := func() *record.Sync {
		return &record.Sync{ID: 7, Summary: "done", Deployment: &record.Deployment{
			Agent: "v1", Services: []record.Image{{Service: "s_web", Image: "app:2", Before: "app:1"}, {Service: "s_api", Image: "app:2", New: true}},
			Secrets: []record.Version{{Name: "s_key-1", Key: "key", By: []string{"s_api", "s_web"}}}, Configs: []record.Version{{Name: "external"}},
		}}
	}
	good := func() *record.GoodState {
		return &record.GoodState{
			SyncID: 7, Secrets: []record.Object{{Name: "s_key-1", Key: "key", Vault: record.VaultRead{Path: "kv/key", Version: 3}}}, Configs: []record.Object{{Name: "external"}},
			Soak: &record.Soak{For: time.Minute, Services: []string{"s_api", "s_web"}}, Services: []byte(`{}`),
		}
	}
	made, kept := sync(), good()
	gathered, gatheredGood := record.GatherSync(made), record.GatherGood(kept)
	if diff := cmp.Diff(sync(), gathered) + cmp.Diff(good(), gatheredGood); diff != "" {
		t.Error(diff)
	}
	gathered.Deployment.Services[0].Image, gathered.Deployment.Secrets[0].By[0] = "x", "x"
	gatheredGood.Secrets[0].Name, gatheredGood.Soak.Services[0], gatheredGood.Soak.Failed = "x", "x", "x"
	if diff := cmp.Diff(sync(), made) + cmp.Diff(good(), kept); diff != "" {
		t.Errorf("the originals changed: %s", diff)
	}
	if record.GatherGood(nil) != nil || record.GatherSync(&record.Sync{}).Deployment != nil {
		t.Error("something is made of nothing")
	}
}
