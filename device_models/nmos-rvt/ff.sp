* nmos-rvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_rvt_ff nmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.884826e-10
+ cgdo=1.884826e-10 vth0=0.3267421 nfactor=-0.01258363 eta0=0.1066255 u0=0.05987572 vsat=357810.4
+ pclm=0.06822937 minv=-0.5033087 rdsw=28.88475 ua=-2.81354e-09 ub=7.283618e-18 prwg=-0.5
+ delta=0.005738474 pvag=-2 cdscd=0.003548929 voff=-0.1145877 a2=0.3722897 vtl=420776.3
+ xn=3.395836 ute=-0.8761164 kt1=-0.04083973 at=-165667.3 ua1=1.715818e-09 ub1=-3.917865e-19
+ prt=-43.05019 tvoff=0.003632617 tnfactor=-0.3 teta0=0.01)
