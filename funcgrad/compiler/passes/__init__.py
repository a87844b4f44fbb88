"""Programs made simpler and faster: passes from Program to Program, for every backend."""
