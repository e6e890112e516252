package growth

import "testing"

func TestSurplusIsAnEighthOfWhatIsIdleBeyondDemand(t *testing.T) {
	var d Demand
	d.Note(100)
	if got := d.Surplus(100, 100, 0); got != 0 {
		t.Errorf("all were in use: got %d surplus, want 0", got)
	}
	for range Windows - 1 {
		d.Turn(20)
		if got := d.Surplus(100, 80, 0); got != 0 {
			t.Errorf("all were in use of late: got %d surplus, want 0", got)
		}
	}
	d.Turn(20)
	for _, test := range []struct{ open, idle, least, want int }{
		{100, 80, 0, 10},
		{100, 5, 0, 1},   // it is in use
		{100, 80, 60, 5}, // so many are wanted
		{21, 21, 0, 1},
		{20, 20, 0, 0},
	} {
		if got := d.Surplus(test.open, test.idle, test.least); got != test.want {
			t.Errorf("%+v: got %d surplus, want %d", test, got, test.want)
		}
	}
	if got := new(Demand).Surplus(KeptAnyway, KeptAnyway, 0); got != 0 {
		t.Errorf("got %d surplus of what is kept anyway, want 0", got)
	}
}
