package report

import "testing"

// TestProviderNames holds that the table of providers uses the names of the incidents, and that its
// data keep the domain, which --relay selects.
func TestProviderNames(t *testing.T) {
	r := &Report{ProviderTable: &ProviderTable{Rows: []ProviderRow{{Provider: "outlook.com"}, {Provider: "one.example"}}}, Providers: []Group{{Key: "outlook.com"}, {Key: "one.example"}}}
	for wide, want := range map[bool]string{true: "Microsoft (outlook.com)", false: "Microsoft"} {
		s := r.providersSection(wide)
		if got := s.Table.Rows[0][0]; got != want {
			t.Errorf("wide %v: %v", wide, got)
		}
		if got := s.Table.Rows[1][0]; got != "one.example" {
			t.Errorf("wide %v: %v", wide, got)
		}
		if got := s.Data.Rows[0][0]; got != "outlook.com" {
			t.Errorf("data: %v", got)
		}
	}
}
