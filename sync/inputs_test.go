package sync_test

import (
	"io/fs"
	"maps"
	"slices"
	"testing"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// A list of a folder depends on the names in it, and not on what is in the folders below it.
func TestListedFolder(t *testing.T) {
	made := example(t)
	made.Commit("Layers", map[string]string{nodeDir + "/platform/node.env": "TAG=1\n"})
	repo := open(t, gitsync.Remote{URL: gittest.HTTP(t, made.Root(), gittest.Options{}).URL + "/repo"})
	checkout, start := fetch(t, repo), made.Head()
	if _, err := fs.ReadDir(checkout.FS, nodeDir); err != nil {
		t.Fatal(err)
	}
	listed := checkout.Inputs()
	old := gitsync.Inputs{nodeDir: "040000 " + made.Git("rev-parse", "HEAD:"+nodeDir)} // as an earlier version recorded it
	if !checkout.Same(old) {
		t.Error("a record of an earlier version differs without a change")
	}
	for name, one := range map[string]struct {
		files map[string]string
		same  bool
	}{
		"a file in a folder below": {map[string]string{nodeDir + "/platform/node.env": "TAG=2\n"}, true},
		"a new file below":         {map[string]string{nodeDir + "/platform/more.env": "A=1\n"}, true},
		"another content":          {map[string]string{nodeDir + "/node.env": "TAG=2\n"}, true},
		"a new file":               {map[string]string{nodeDir + "/docker-compose-more.yml": "services: {}\n"}, false},
		"a file is gone":           {map[string]string{nodeDir + "/docker-compose.yml": ""}, false},
		"a link in a file's place": {map[string]string{nodeDir + "/node.env": "-> docker-compose.yml"}, false},
		"a folder is gone":         {map[string]string{nodeDir + "/platform": ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			made.Reset(start)
			made.Commit(name, one.files)
			changed := fetch(t, repo)
			if got := changed.Same(listed); got != one.same {
				t.Errorf("Same = %t, want %t", got, one.same)
			}
			if changed.Same(old) {
				t.Error("a record of an earlier version does not show a change in the folder")
			}
		})
	}
}

// What is read of one view of a checkout is no input of another.
func TestAnew(t *testing.T) {
	checkout := fetch(t, open(t, remote(t, "path", example(t).Root(), gittest.Options{})))
	platform, business := checkout.Anew(), checkout.Anew()
	read(t, platform, nodeDir+"/node.env")
	read(t, business, nodeDir+"/docker-compose.yml")
	for view, want := range map[*gitsync.Checkout]string{platform: nodeDir + "/node.env", business: nodeDir + "/docker-compose.yml"} {
		if got := slices.Collect(maps.Keys(view.Inputs())); len(got) != 1 || got[0] != want {
			t.Errorf("reads %q, want %s", got, want)
		}
	}
	if len(checkout.Inputs()) != 0 {
		t.Errorf("the checkout itself reads %v", checkout.Inputs())
	}
}
