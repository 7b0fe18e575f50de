package store_test

import (
	"testing"

	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// What is shown on merge requests is on record for each stack.
func TestPreviewBooks(t *testing.T) {
	s := open(t, memoryfolder.New(t))
	if books, err := store.PreviewBooks(s); err != nil || len(books) > 0 {
		t.Errorf("before the first: %v, %v", books, err)
	}
	for number, key := range map[int64]string{4: "platform", 5: "business"} {
		if err := s.Previews("platform").SavePreview(preview.Shown{Number: number, Link: key}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Previews("business").SavePreview(preview.Shown{Number: 6}, nil); err != nil {
		t.Fatal(err)
	}
	if books, err := store.PreviewBooks(s); err != nil || len(books) != 2 || len(books[0].Shown) != 1 || len(books[1].Shown) != 2 {
		t.Errorf("%+v, %v", books, err)
	}
}
