-- Edited.
CREATE TABLE "Cart" ("id" SERIAL NOT NULL, "name" TEXT NOT NULL, CONSTRAINT "Cart_pkey" PRIMARY KEY ("id"));
